//! Exceptions: subclasses of one, by what the caller can do about them.

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(blindsight, BlindsightError, PyException, "What Blindsight refuses, and why.");
create_exception!(
    blindsight,
    ModelError,
    BlindsightError,
    "A network that cannot be read, or does not run encrypted."
);
create_exception!(
    blindsight,
    FitError,
    BlindsightError,
    "Calibration data that do not fit, or no polynomials that do."
);
create_exception!(blindsight, PlanError, BlindsightError, "No plan within the limits, or one that is none.");
create_exception!(blindsight, InputError, BlindsightError, "An input of another shape, or no numbers.");
create_exception!(
    blindsight,
    DamagedError,
    BlindsightError,
    "Bytes or a file that are damaged, or of another kind, version, plan or key."
);
create_exception!(blindsight, ReplyError, BlindsightError, "A reply that makes no sense under this key.");
create_exception!(
    blindsight,
    ServerError,
    BlindsightError,
    "A server that cannot be reached, or refuses; `code` says why where it said so."
);

/// Puts all of them into the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("BlindsightError", py.get_type::<BlindsightError>())?;
    module.add("ModelError", py.get_type::<ModelError>())?;
    module.add("FitError", py.get_type::<FitError>())?;
    module.add("PlanError", py.get_type::<PlanError>())?;
    module.add("InputError", py.get_type::<InputError>())?;
    module.add("DamagedError", py.get_type::<DamagedError>())?;
    module.add("ReplyError", py.get_type::<ReplyError>())?;
    module.add("ServerError", py.get_type::<ServerError>())
}

/// Of a network.
pub fn of_network(error: blindsight_network::Error) -> PyErr {
    ModelError::new_err(error.to_string())
}

/// Of a fit.
pub fn of_fit(error: blindsight_fit::Error) -> PyErr {
    FitError::new_err(error.to_string())
}

/// Of a plan.
pub fn of_plan(error: blindsight_planner::Error) -> PyErr {
    PlanError::new_err(error.to_string())
}

/// Of a server in this process.
pub fn of_server(error: blindsight_server::Error) -> PyErr {
    match error {
        blindsight_server::Error::Wire { .. } => DamagedError::new_err(error.to_string()),
        error => PlanError::new_err(error.to_string()),
    }
}

/// Of a client.
pub fn of_client(error: blindsight_client::Error) -> PyErr {
    use blindsight_client::Error as E;
    let text = error.to_string();
    match error {
        E::Wire { .. } | E::File { .. } | E::SecretExists(_) | E::PassphraseNeeded(_) => {
            DamagedError::new_err(text)
        }
        E::Garbage { .. } | E::WrappedAround { .. } => ReplyError::new_err(text),
        E::Images { .. } | E::ImageShape { .. } | E::Image(_) | E::Plan(_) => InputError::new_err(text),
        _ => BlindsightError::new_err(text),
    }
}

/// Of a client's connection.
pub fn of_remote(error: blindsight_client::remote::Error) -> PyErr {
    use blindsight_client::remote::Error as E;
    let (text, code) = (error.to_string(), error.code());
    match error {
        E::Client(error) => of_client(error),
        E::Plan(_) | E::Signature(_) => DamagedError::new_err(text),
        _ => {
            let raised = ServerError::new_err(text);
            let code = code.and_then(|code| Some(serde_json::to_value(code).ok()?.as_str()?.to_string()));
            Python::attach(|py| raised.value(py).setattr("code", code))
                .map_or_else(|other| other, |()| raised)
        }
    }
}

/// As [`of_network`], for what a client refuses of an input.
pub fn of_input(error: blindsight_network::Error) -> PyErr {
    InputError::new_err(of_network(error).to_string())
}
