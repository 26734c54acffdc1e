//! Uploads that broke off, as far as they came: each front puts what it has beyond what is in the store, as a
//! piece of its own, so that an upload in many parts is written once.

use crate::depot::{Depot, DepotError, Object};
use blindsight_service::Id;
use std::path::Path;

/// The most bytes of a piece.
const MOST: u64 = 1 << 40;

fn folder((client, address): &Id) -> String {
    format!("uploads/{client}/{address}")
}

/// A piece in the store.
#[derive(Debug)]
struct Piece {
    path: String,
    begin: u64,
    bytes: u64,
}

impl Piece {
    /// Its name says where it begins, so that names sort as pieces do.
    fn of(object: Object) -> Option<Self> {
        let begin = object.path.rsplit('/').next()?.parse().ok()?;
        Some(Self { path: object.path, begin, bytes: object.bytes })
    }
}

/// Pieces by where they begin.
async fn pieces(depot: &Depot, id: &Id) -> Result<Vec<Piece>, DepotError> {
    let objects = depot.list(&folder(id)).await?;
    let mut pieces: Vec<Piece> = objects.into_iter().filter_map(Piece::of).collect();
    pieces.sort_by_key(|piece| piece.begin);
    Ok(pieces)
}

/// How many bytes there are from the beginning without a gap. Pieces of two fronts may overlap.
fn stands(pieces: &[Piece]) -> u64 {
    pieces.iter().fold(
        0,
        |end, piece| {
            if piece.begin <= end { end.max(piece.begin + piece.bytes) } else { end }
        },
    )
}

/// Puts what a file holds beyond what is there.
pub async fn put(depot: &Depot, id: &Id, file: &Path) -> Result<(), DepotError> {
    let begin = stands(&pieces(depot, id).await?);
    if std::fs::metadata(file)?.len() <= begin {
        return Ok(());
    }
    depot.put_file_from(&format!("{}/{begin:020}", folder(id)), file, begin).await
}

/// What is there, where that is more than so many bytes.
pub async fn get(depot: &Depot, id: &Id, here: u64) -> Result<Option<Vec<u8>>, DepotError> {
    let pieces = pieces(depot, id).await?;
    if stands(&pieces) <= here {
        return Ok(None);
    }
    let mut all = vec![];
    for piece in pieces {
        let Some(known) = (all.len() as u64).checked_sub(piece.begin) else { break };
        let bytes = depot.get(&piece.path, MOST).await?.unwrap_or_default();
        all.extend_from_slice(bytes.get(known as usize..).unwrap_or_default());
    }
    Ok(Some(all).filter(|all| all.len() as u64 > here))
}

/// Forgets what is there.
pub async fn remove(depot: &Depot, id: &Id) -> Result<(), DepotError> {
    for piece in pieces(depot, id).await? {
        depot.remove(&piece.path).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upload_in_parts_is_written_once_and_read_whole() {
        let depot = Depot::in_memory();
        let id: Id = ("alice".parse().expect("a name"), blindsight_protocol::Address([7; 32]));
        let other: Id = ("alice".parse().expect("a name"), blindsight_protocol::Address([8; 32]));
        let whole: Vec<u8> = (0..100u8).collect();
        let path = std::env::temp_dir().join(format!("blindsight-paused-{}", std::process::id()));
        for length in [0, 40, 70, 70, 30, 100] {
            std::fs::write(&path, &whole[..length]).expect("written");
            put(&depot, &id, &path).await.expect("put");
        }
        put(&depot, &other, &path).await.expect("put");
        std::fs::remove_file(&path).expect("there");
        let lengths: Vec<u64> = pieces(&depot, &id).await.expect("listed").iter().map(|p| p.bytes).collect();
        assert_eq!(lengths, [40, 30, 30], "each byte once");
        assert_eq!(get(&depot, &id, 99).await.expect("read"), Some(whole.clone()));
        assert_eq!(get(&depot, &id, 100).await.expect("read"), None);
        // Another front put a shorter piece in place of the second one, and a gap is behind it.
        depot.put(&format!("{}/{:020}", folder(&id), 40), whole[40..50].to_vec()).await.expect("put");
        assert_eq!(get(&depot, &id, 10).await.expect("read"), Some(whole[..50].to_vec()));
        // And one that overlaps.
        depot.put(&format!("{}/{:020}", folder(&id), 45), whole[45..80].to_vec()).await.expect("put");
        assert_eq!(get(&depot, &id, 10).await.expect("read"), Some(whole.clone()));
        remove(&depot, &id).await.expect("removed");
        assert_eq!(get(&depot, &id, 0).await.expect("read"), None);
        assert!(get(&depot, &other, 0).await.expect("read").is_some(), "others stay");
    }
}
