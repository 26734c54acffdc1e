//! A plan's public part as bytes.

use blindsight_ckks::wire::{self, Expected, Header, KeyId, Kind, Length, PlanDigest, WireError};
use blindsight_packing::{LARGEST_PLAN_BYTES, PublicPlan};

/// Why bytes are no public plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A frame that is damaged, or holds something else.
    #[error("public plan: {0}")]
    Wire(#[from] WireError),
    /// A payload that is not one plan's encoding.
    #[error(
        "public plan: its payload is not the encoding of a plan; client and server may be of different versions"
    )]
    Encoding,
    /// A plan that contradicts itself, or is not secure.
    #[error(transparent)]
    Plan(#[from] blindsight_packing::Error),
}

/// The public part of the plan that `digest` names, framed.
pub fn write_plan(plan: &PublicPlan, digest: PlanDigest) -> Vec<u8> {
    let payload = postcard::to_allocvec(plan).expect("a plan has nothing that cannot be encoded");
    wire::seal(&Header { kind: Kind::PublicPlan, plan: digest, key: KeyId::default() }, &payload)
}

/// Reads a public plan from outside, and the digest that names it. The digest cannot be checked against the public part alone: it is
/// what the server says, and what everything sent to it will carry.
///
/// # Errors
/// For bytes that are no frame of a public plan, and for a plan that is inconsistent or below 128 bits of security.
pub fn read_plan(bytes: &[u8]) -> Result<(PublicPlan, PlanDigest), Error> {
    let length = Length::AtMost(LARGEST_PLAN_BYTES);
    let expected = Expected { kind: Kind::PublicPlan, plan: None, key: None, length };
    let (header, payload) = wire::open(bytes, &expected)?;
    let (plan, rest): (PublicPlan, _) = postcard::take_from_bytes(&payload).map_err(|_| Error::Encoding)?;
    if !rest.is_empty() {
        return Err(Error::Encoding);
    }
    plan.validate()?;
    Ok((plan, header.plan))
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindsight_network::Model;
    use blindsight_packing::planner::{Options, plan};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static FRAME: LazyLock<(PublicPlan, Vec<u8>)> = LazyLock::new(|| {
        let onnx = include_bytes!("../../../models/cryptonets-mnist.onnx");
        let model = Model::from_bytes("cryptonets-mnist", onnx).expect("the shipped model");
        let plan = plan(&model, &Options::default()).expect("it has a plan");
        let frame = write_plan(&plan.public, plan.digest());
        (plan.public, frame)
    });

    #[test]
    fn a_public_plan_is_read_back_with_its_digest() {
        let (plan, frame) = &*FRAME;
        let (read, digest) = read_plan(frame).expect("it was written here");
        assert_eq!(&read, plan);
        assert_eq!(digest[..], frame[12..44]);
    }

    #[test]
    fn a_whole_plan_is_no_public_plan() {
        let frame =
            wire::seal(&Header { kind: Kind::Plan, plan: PlanDigest::default(), key: KeyId::default() }, &[]);
        assert!(matches!(read_plan(&frame), Err(Error::Wire(WireError::Kind { .. }))));
    }

    #[test]
    fn an_insecure_plan_is_refused() {
        let mut plan = FRAME.0.clone();
        plan.parameters.degree /= 2;
        assert!(matches!(read_plan(&write_plan(&plan, [0; 32])), Err(Error::Plan(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..Default::default() })]

        /// Damage that the checksum does not see, because it was made before: only the plan's own checks are left.
        #[test]
        fn no_payload_panics(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
            let frame = &FRAME.1;
            let mut payload = frame[wire::HEADER_BYTES..frame.len() - 32].to_vec();
            let (at, cut) = (at.index(payload.len()), cut.index(4 * payload.len()));
            payload[at] = byte;
            payload.truncate(cut.max(1));
            let header = Header { kind: Kind::PublicPlan, plan: [0; 32], key: KeyId::default() };
            if let Ok((plan, _)) = read_plan(&wire::seal(&header, &payload)) {
                plan.validate().expect("what is read is valid");
            }
        }
    }
}
