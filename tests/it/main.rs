//! Everything that users of the library can rely on, through its public interface alone.
#[cfg(feature = "cli")]
mod mcp;
#[cfg(feature = "cli")]
mod mcp_client;

use autoforge_store::*;

#[test]
fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_project(dir.path()).unwrap();
    let f = |n: &str| NewFeature::new("A", n, "d", ["s"]).unwrap();
    let created = store.call(CreateFeature::new(f("x"))).unwrap();
    assert_eq!(created.id.get(), 1);
    println!("{:?}", store.call(GetStats));
    println!("{:?}", store.call(ClaimNext));
    println!("{:?}", store.diagnose());
    println!("{:?}", store.backup(dir.path().join("b.db")));
    let t = std::time::Instant::now();
    for _ in 0..1000 {
        store.call(ClearInProgress { id: 1.into() }).unwrap();
        store.call(GetStats).unwrap();
    }
    println!("{:?}", t.elapsed());
    println!("{:?}", store.close());
    for e in std::fs::read_dir(dir.path().join(".autoforge")).unwrap() {
        println!("{:?}", e.unwrap());
    }
}
