//! Private replies and other levels of security: what they take, what is refused, what a client checks.

use super::{CRYPTONETS, Figures, Machine, image, model, with_squares};
use crate::{Objective, Options, Packing, Plan, ReplyKind, explain, plan};
use blindsight_circuit::encrypted::Program;
use blindsight_circuit::{CostModel, dry_run};
use blindsight_ckks::masking::noise_deviation;
use blindsight_ckks::{Evaluator, Level, Security, SeededEvaluationKeys, wire};
use blindsight_layout::{Masking, PublicPlan};
use blindsight_network::{Model, Shape};
use std::sync::OnceLock;

fn private(kappa: u32) -> Options {
    Options { reply: ReplyKind::Private { kappa }, ..Options::default() }
}

/// A network of fewer weights, which is planned sooner.
fn small() -> Model {
    model(&Figures { input: Shape::new(1, 8, 8), hidden: Some(10), scores: 3, ..CRYPTONETS }).unwrap()
}

fn cryptonets() -> &'static (Model, Plan) {
    static PLAN: OnceLock<(Model, Plan)> = OnceLock::new();
    PLAN.get_or_init(|| {
        let model = model(&CRYPTONETS).unwrap();
        let plan = plan(&model, &private(20)).unwrap();
        (model, plan)
    })
}

#[test]
fn a_private_plan_has_room_and_at_most_five_times_the_latency() {
    let (model, private) = cryptonets();
    let (public, parameters) = (&private.public, private.public.validated_parameters().unwrap());
    let Masking { kappa, noise_bits } = public.masking.unwrap();
    assert_eq!((kappa, parameters.level_limbs(), public.keys.public), (20, 2, Some(Level(0))));
    assert_eq!(public.reply_kind, "private");
    assert!(public.predicted_error > noise_deviation(noise_bits, public.reply.scale));
    let clean = plan(model, &Options::default()).unwrap();
    let milliseconds = |plan: &Plan| explain(plan, model, &CostModel::default()).unwrap().predicted_ms;
    let ratio = milliseconds(private) / milliseconds(&clean);
    assert!((1.0..5.0).contains(&ratio), "{ratio} times the latency");
    assert_eq!(Plan::from_bytes(&private.to_bytes()).unwrap(), *private);
    assert_eq!(Plan::read(&private.write()[..]).unwrap().public.masking, public.masking);
}

#[test]
fn the_explained_bytes_of_keys_are_those_of_all_keys_that_a_plan_asks_for() {
    let model = small();
    for options in [Options::default(), private(20)] {
        let plan = plan(&model, &options).unwrap();
        let parameters = plan.public.validated_parameters().unwrap();
        let payload = wire::evaluation_keys_bytes(&parameters, &plan.public.keys);
        let explanation = explain(&plan, &model, &CostModel::default()).unwrap();
        assert_eq!(explanation.evaluation_key_bytes, (wire::FRAME_BYTES + payload) as u64);
    }
}

#[test]
fn what_a_private_plan_counts_is_what_is_computed() {
    let (model, private) = cryptonets();
    let (parameters, image) = (private.public.validated_parameters().unwrap(), image(&CRYPTONETS));
    let circuit = private.circuit_for(model, &parameters).unwrap();
    let said = dry_run(&circuit).totals;
    let mut machine = Machine::new(&parameters, 3);
    let Machine { context, secret, randomness } = &mut machine;
    let keys = SeededEvaluationKeys::generate(context, secret, &private.public.keys, randomness, |_| ());
    let keys = keys.unwrap().expand(context);
    let slots = private.public.write(&image).unwrap();
    let (level, scale) = (private.public.input_level, private.public.input_scale);
    let seeded = secret.encrypt_all(context, &slots, level, scale, randomness).unwrap();
    let inputs: Vec<_> = seeded.into_iter().map(|c| c.expand(context.basis(level))).collect();
    let program = Program::encode(circuit, context).unwrap();
    let (evaluator, indices) = (Evaluator::new(context, &keys), private.public.reply.indices());
    let run = program.run(&evaluator, &inputs).unwrap();
    let reply = evaluator.reply(&run.outputs[0], &indices).unwrap();
    assert_eq!((run.counts.hops(), run.counts.rescales), (said.hops(), said.rescales));
    // Before it is masked: as much more exact as the noise is larger.
    let read = private.public.reply.read(&secret.decrypt_reply(context, &reply, &indices)).unwrap();
    let plain = model.graph.infer(&image).unwrap();
    let error = read.scores.iter().zip(&plain).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(error < private.public.predicted_error / 2f64.powi(20), "{error}");
}

#[test]
fn a_smaller_kappa_costs_less_error() {
    let model = small();
    let [four, twelve] = [4, 12].map(|kappa| plan(&model, &private(kappa)).unwrap().public);
    assert!(four.predicted_error < twelve.predicted_error);
    assert!(four.masking.unwrap().noise_bits < twelve.masking.unwrap().noise_bits);
}

#[test]
fn what_has_no_room_is_refused_with_figures() {
    let shallow = small();
    let deep = Model { graph: with_squares(&shallow.graph, 30), ..shallow.clone() };
    let small = Options { ring_degree: Some(8192), ..private(20) };
    let batch = Options { packing: Packing::Batch, ..private(20) };
    let throughput = Options { objective: Objective::Throughput, ..private(20) };
    for (model, options, named) in [
        (&shallow, private(40), "kappa"),
        (&shallow, small, "8192"),
        (&shallow, batch, "batch"),
        (&shallow, throughput, "batch"),
        (&deep, private(20), "levels"),
    ] {
        let refused = plan(model, &options).unwrap_err().to_string();
        assert!(refused.contains(named), "{refused}");
    }
}

#[test]
fn kappa_is_for_private_replies() {
    let [clean, private] = ["clean", "private"].map(|name| name.parse::<ReplyKind>().unwrap());
    assert_eq!(private, ReplyKind::Private { kappa: ReplyKind::KAPPA });
    assert_eq!(private.with_kappa(Some(7)).unwrap(), ReplyKind::Private { kappa: 7 });
    assert_eq!((clean.with_kappa(None).unwrap(), private.to_string()), (ReplyKind::Clean, "private".into()));
    assert!(clean.with_kappa(Some(7)).is_err());
    for kappa in [0, 41] {
        assert!(private.with_kappa(Some(kappa)).unwrap_err().to_string().contains("1 to 40"));
    }
}

/// What is changed in a plan, and how.
type Tampering = (&'static str, fn(&mut PublicPlan));

#[test]
fn a_client_refuses_masking_that_is_not_what_it_says() {
    let (_, private) = cryptonets();
    private.public.validate().unwrap();
    let tamperings: [Tampering; 8] = [
        ("called clean", |p| p.reply_kind = "clean".into()),
        ("no public key", |p| p.keys.public = None),
        ("a public key of another level", |p| p.keys.public = Some(Level(1))),
        ("no masking", |p| p.masking = None),
        ("no kappa", |p| p.masking.as_mut().unwrap().kappa = 0),
        ("a huge kappa", |p| p.masking.as_mut().unwrap().kappa = u32::MAX),
        ("more noise than scores", |p| p.masking.as_mut().unwrap().noise_bits = 58),
        ("an error less than the noise", |p| p.predicted_error /= 4.0),
    ];
    for (what, tamper) in tamperings {
        let mut public = private.public.clone();
        tamper(&mut public);
        assert!(public.validate().is_err(), "{what}");
    }
    let mut clean = plan(&model(&CRYPTONETS).unwrap(), &Options::default()).unwrap().public;
    clean.keys.public = Some(Level(0));
    assert!(clean.validate().is_err());
}

#[test]
fn plans_have_the_security_that_they_state() {
    let model = small();
    for security in Security::ALL {
        let plan = plan(&model, &Options { security, ..Options::default() }).unwrap();
        let parameters = plan.public.validated_parameters().unwrap();
        assert!(parameters.security_bits() >= security.bits());
        assert_eq!(plan.public.security, security);
        let said = explain(&plan, &model, &CostModel::default()).unwrap();
        assert!(said.security_bits >= security.bits());
    }
    let mut weaker = plan(&model, &Options::default()).unwrap();
    weaker.public.security = Security::Bits192;
    let refused = weaker.public.validate().unwrap_err().to_string();
    assert!(refused.contains("192 bits of security allow at most 147"), "{refused}");
    assert!(Plan::from_bytes(&weaker.to_bytes()).is_err());
}

#[test]
fn private_replies_come_at_other_levels_of_security_too() {
    let model = small();
    let options = Options { security: Security::Bits256, ..private(10) };
    let plan = plan(&model, &options).unwrap();
    assert_eq!(plan.public.validated_parameters().unwrap().security_bits(), 256);
}
