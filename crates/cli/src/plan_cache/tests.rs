//! The cache against plans made anew, and with entries that are none.

use super::*;
use crate::failure::Failure;
use crate::shipped;
use blindsight_planner::Objective;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("plan-cache-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    fn cache(&self) -> PlanCache {
        PlanCache::new(self.0.clone(), "tested planner".into())
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.0).map_or(vec![], |files| files.map(|f| f.expect("a file").path()).collect())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn model() -> Model {
    shipped::model("mlp-mnist").expect("it is shipped")
}

fn made(model: &Model) -> Outcome<Plan> {
    Ok(blindsight_planner::plan(model, &Options::default())?)
}

fn not_made() -> Outcome<Plan> {
    Err(Failure::new("planned"))
}

/// Whether the cache has the plan already.
fn has(cache: &PlanCache, model: &Model, options: &Options) -> bool {
    cache.plan(model, options, not_made).is_ok()
}

#[test]
fn the_second_time_nothing_is_planned() {
    let (folder, model) = (Folder::new(), model());
    let (cache, options) = (folder.cache(), Options::default());
    let first = cache.plan(&model, &options, || made(&model)).expect("a plan");
    let second = cache.plan(&model, &options, not_made).expect("the plan that is kept");
    assert_eq!(first, second);
    assert_eq!(folder.files().len(), 1, "one entry, and no draft: {:?}", folder.files());
}

#[test]
fn a_refusal_is_passed_on_and_not_kept() {
    let (folder, model) = (Folder::new(), model());
    let refused = folder.cache().plan(&model, &Options::default(), not_made).expect_err("it is refused");
    assert_eq!(refused.to_string(), "planned");
    assert!(folder.files().is_empty());
}

#[test]
fn whatever_a_plan_depends_on_is_part_of_the_key() {
    let (folder, model) = (Folder::new(), model());
    let (cache, options) = (folder.cache(), Options::default());
    cache.plan(&model, &options, || made(&model)).expect("a plan");
    let dearer = blindsight_circuit::CostModel { ntt: options.cost.ntt + 1e-9, ..options.cost.clone() };
    for other in [
        Options { objective: Objective::Operations, ..options.clone() },
        Options { packing: "image".parse().expect("a packing"), ..options.clone() },
        Options { ring_degree: Some(16384), ..options.clone() },
        Options { max_key_bytes: 1 << 30, ..options.clone() },
        Options { max_memory: Some(1 << 30), ..options.clone() },
        Options { max_error: Some(1.0), ..options.clone() },
        Options { cost: dearer, ..options.clone() },
    ] {
        assert!(!has(&cache, &model, &other), "{other:?}");
    }
    let named = Model { name: "another".into(), ..model.clone() };
    assert!(!has(&cache, &named, &options), "plans hold the model's name");
    let mut changed = model.clone();
    changed.digest[31] ^= 1;
    assert!(!has(&cache, &changed, &options), "another file");
    let newer = PlanCache::new(folder.0.clone(), "another planner".into());
    assert!(!has(&newer, &model, &options), "another planner");
    assert!(has(&cache, &model, &options), "the first is still there");
}

#[test]
fn damaged_and_foreign_entries_are_replaced() {
    let (folder, model) = (Folder::new(), model());
    let (cache, options) = (folder.cache(), Options::default());
    let plan = cache.plan(&model, &options, || made(&model)).expect("a plan");
    let path = folder.files().remove(0);
    let whole = fs::read(&path).expect("the entry");
    let foreign = foreign_entry(&model);
    let flipped = |at: usize| {
        let mut entry = whole.clone();
        entry[at] ^= 0x10;
        entry
    };
    let damaged = (0..whole.len()).step_by(7).map(flipped);
    let cut = (0..whole.len()).step_by(61).map(|length| whole[..length].to_vec());
    let longer = [whole.clone(), vec![0; 40 << 20]].concat();
    for entry in damaged.chain(cut).chain([vec![], foreign, longer]) {
        fs::write(&path, &entry).expect("the entry can be written");
        assert!(!has(&cache, &model, &options), "{} bytes", entry.len());
        let again = cache.plan(&model, &options, || Ok(plan.clone())).expect("planned anew");
        assert_eq!(again, plan);
        assert_eq!(fs::read(&path).expect("the entry"), whole, "it is replaced");
    }
}

/// An entry under this model's key that holds a sound plan of another model.
fn foreign_entry(model: &Model) -> Vec<u8> {
    let other = shipped::model("cryptonets-mnist").expect("it is shipped");
    let key = Key::new(model, &Options::default(), "tested planner");
    [FORMAT, &key.0, &made(&other).expect("a plan").write()].concat()
}

#[test]
fn what_was_not_used_for_longest_is_removed() {
    let (folder, model) = (Folder::new(), model());
    let plan = made(&model).expect("a plan");
    let cache = PlanCache { most_entries: 3, ..folder.cache() };
    let options = |n: u64| Options { max_key_bytes: n, ..Options::default() };
    let keep = |n| drop(cache.plan(&model, &options(n), || Ok(plan.clone())).expect("a plan"));
    let is_kept = |n| folder.0.join(Key::new(&model, &options(n), &cache.planner).file_name()).exists();
    fs::create_dir_all(&folder.0).expect("a folder");
    fs::write(folder.0.join("notes.txt"), "not the cache's").expect("a file");
    for n in 0..3 {
        keep(n);
        std::thread::sleep(Duration::from_millis(20));
    }
    keep(0);
    std::thread::sleep(Duration::from_millis(20));
    keep(3);
    assert_eq!([0, 1, 2, 3].map(is_kept), [true, false, true, true], "0 was used again");
    let bytes = fs::metadata(folder.0.join(Key::new(&model, &options(3), &cache.planner).file_name()));
    let small = PlanCache { most_bytes: bytes.expect("an entry").len() * 3 / 2, ..folder.cache() };
    std::thread::sleep(Duration::from_millis(20));
    small.plan(&model, &options(4), || Ok(plan.clone())).expect("a plan");
    assert_eq!([0, 2, 3].map(is_kept), [false; 3], "only one has room");
    assert!(is_kept(4) && folder.0.join("notes.txt").exists());
}

#[test]
fn a_cache_that_cannot_be_written_costs_time_only() {
    let (folder, model) = (Folder::new(), model());
    fs::write(&folder.0, "a file where the folder should be").expect("a file");
    let plan = folder.cache().plan(&model, &Options::default(), || made(&model));
    fs::remove_file(&folder.0).expect("the file");
    assert!(plan.is_ok());
}

/// A test is a program of its own, so what holds this code is known.
#[cfg(target_os = "linux")]
#[test]
fn the_file_of_this_code_is_found() {
    assert_eq!(this_file(), std::env::current_exe().ok());
}
