//! A plan's public part as bytes.

use blindsight_ckks::wire::{self, Expected, Header, KeyId, Kind, Length, PlanDigest, WireError};
use blindsight_layout::{LARGEST_PLAN_BYTES, PublicPlan};

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
    /// A digest that is not that of this public part.
    #[error("public plan: its header names plan {named}, but what it holds is of plan {held}")]
    Digest {
        /// The first bytes of the digest in the header.
        named: String,
        /// Those of the digest that the payload comes to.
        held: String,
    },
    /// A plan that contradicts itself, or is not secure.
    #[error(transparent)]
    Plan(#[from] blindsight_layout::Error),
}

/// Bytes of the digest of a plan's private part, which precede its public part.
const PRIVATE_DIGEST_BYTES: usize = 32;

/// The public part of a plan, framed: the digest of the rest, then the public part.
pub fn write_plan(public: &PublicPlan, private: &[u8; PRIVATE_DIGEST_BYTES]) -> Vec<u8> {
    seal(public, private, public.digest(private))
}

fn seal(public: &PublicPlan, private: &[u8; PRIVATE_DIGEST_BYTES], digest: PlanDigest) -> Vec<u8> {
    let payload = [&private[..], &public.to_bytes()].concat();
    wire::seal(&Header { kind: Kind::PublicPlan, plan: digest, key: KeyId::default() }, &payload)
}

/// Reads a public plan from outside, and the digest that names it. The digest commits to the public plan: no
/// two are named alike. What else it stands for, the server alone knows.
///
/// # Errors
/// For bytes that are no frame of a public plan, for a digest that is not its own, and for a plan that is
/// inconsistent, below 128 bits of security, or does not encrypt every input of its kind.
pub fn read_plan(bytes: &[u8]) -> Result<(PublicPlan, PlanDigest), Error> {
    let length = Length::AtMost(PRIVATE_DIGEST_BYTES + LARGEST_PLAN_BYTES);
    let expected = Expected { kind: Kind::PublicPlan, plan: None, key: None, length };
    let (header, payload) = wire::open(bytes, &expected)?;
    let (private, encoded) = payload.split_first_chunk().ok_or(Error::Encoding)?;
    let (plan, rest): (PublicPlan, _) = postcard::take_from_bytes(encoded).map_err(|_| Error::Encoding)?;
    if !rest.is_empty() {
        return Err(Error::Encoding);
    }
    let digest = plan.digest(private);
    if digest != header.plan {
        let [named, held] = [header.plan, digest].map(|d| wire::hex(&d[..8]));
        return Err(Error::Digest { named, held });
    }
    plan.validate()?;
    Ok((plan, digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindsight_network::Model;
    use blindsight_planner::{Options, plan};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static FRAME: LazyLock<(PublicPlan, Vec<u8>)> = LazyLock::new(|| {
        let onnx = include_bytes!("../../../models/cryptonets-mnist.onnx");
        let model = Model::from_bytes("cryptonets-mnist", onnx).expect("the shipped model");
        let plan = plan(&model, &Options::default()).expect("it has a plan");
        let frame = write_plan(&plan.public, &plan.private_digest());
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
        assert!(matches!(read_plan(&sealed(&plan)), Err(Error::Plan(_))));
    }

    /// Framed under a digest of its own, as a hostile server would.
    fn sealed(plan: &PublicPlan) -> Vec<u8> {
        seal(plan, &[7; 32], plan.digest(&[7; 32]))
    }

    /// Else a server could have secrets made for one plan used under another.
    #[test]
    fn a_public_plan_under_another_digest_is_refused() {
        let mut plan = FRAME.0.clone();
        read_plan(&sealed(&plan)).expect("its own digest");
        let digest = plan.digest(&[7; 32]);
        plan.labels.swap(0, 1);
        assert!(matches!(read_plan(&seal(&plan, &[7; 32], digest)), Err(Error::Digest { .. })));
        assert!(matches!(read_plan(&seal(&FRAME.0, &[8; 32], digest)), Err(Error::Digest { .. })));
    }

    /// The server saw which images such a plan refused.
    #[test]
    fn a_plan_that_refuses_some_images_is_refused() {
        let mut plan = FRAME.0.clone();
        plan.input_range.1 /= 2.0;
        assert!(matches!(read_plan(&sealed(&plan)), Err(Error::Plan(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..Default::default() })]

        /// Damage that the checksum does not see, because it was made before: only the plan's own checks are
        /// left.
        #[test]
        fn no_payload_panics(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
            let frame = &FRAME.1;
            let mut payload = frame[wire::HEADER_BYTES..frame.len() - 32].to_vec();
            let (at, cut) = (at.index(payload.len()), cut.index(4 * payload.len()));
            payload[at] = byte;
            payload.truncate(cut.max(1));
            // The digest is made right where the payload is a plan's, as by a hostile server.
            let decoded = payload.get(32..).and_then(|b| postcard::take_from_bytes::<PublicPlan>(b).ok());
            let private = payload.first_chunk().copied().unwrap_or_default();
            let digest = decoded.map_or([0; 32], |(plan, _)| plan.digest(&private));
            let header = Header { kind: Kind::PublicPlan, plan: digest, key: KeyId::default() };
            if let Ok((plan, _)) = read_plan(&wire::seal(&header, &payload)) {
                plan.validate().expect("what is read is valid");
            }
        }
    }
}
