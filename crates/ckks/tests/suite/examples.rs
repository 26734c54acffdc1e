//! The essays under `examples/` are true.

#[path = "../../examples/04_bytes_between_two_parties.rs"]
mod bytes_between_two_parties;
#[path = "../../examples/01_encrypt_and_add.rs"]
mod encrypt_and_add;
#[path = "../../examples/02_levels_and_scales.rs"]
mod levels_and_scales;
#[path = "../../examples/03_rotations_and_linear_maps.rs"]
mod rotations_and_linear_maps;

#[test]
fn encrypt_and_add_runs() {
    encrypt_and_add::main().unwrap();
}

#[test]
fn levels_and_scales_runs() {
    levels_and_scales::main().unwrap();
}

#[test]
fn rotations_and_linear_maps_runs() {
    rotations_and_linear_maps::main().unwrap();
}

#[test]
fn bytes_between_two_parties_runs() {
    bytes_between_two_parties::main().unwrap();
}
