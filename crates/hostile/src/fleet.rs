//! What fronts and workers of a fleet read: messages of anybody, and what was sealed by a fault of their own.

use blindsight_fleet::Beat;
use blindsight_fleet::job::{Answer, Job, VERSION};
use blindsight_fleet::seal::{FleetKey, Purpose};

/// Messages: refused, or read as what is written the same again.
pub fn fleet(input: &[u8]) {
    let key = FleetKey::new(&[1; 32]);
    // Nobody but the fleet can make the code.
    assert!(Job::read(&key, input).is_err() && Answer::read(&key, input).is_err());
    if let Ok((job, request)) = Job::read(&key, &message(&key, Purpose::Job, input)) {
        assert_eq!(Job::read(&key, &job.write(&key, request)), Ok((job.clone(), request)));
        assert!(Job::shard(&job.client, 7) < 7 && !job.request_path().contains(".."));
    }
    if let Ok((answer, reply)) = Answer::read(&key, &message(&key, Purpose::Answer, input)) {
        let _ = answer.outcome(reply);
    }
    if let Ok(beat) = serde_json::from_slice::<Beat>(input) {
        serde_json::to_vec(&beat).expect("plain text and numbers");
    }
}

/// The input as what a seal is around. Where it is long its end stands behind the seal, as a request does.
fn message(key: &FleetKey, purpose: Purpose, input: &[u8]) -> Vec<u8> {
    let (body, rest) = input.split_at(input.len().min(900));
    let sealed = key.seal(purpose, [&[VERSION], body].concat());
    [&(sealed.len() as u16).to_le_bytes()[..], &sealed, rest].concat()
}
