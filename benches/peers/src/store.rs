//! This crate: clients are threads that share a store.

use autoforge_store::{ClaimNext, ClaimedNext, MarkPassing, OpenOptions, Store};
use peer_part::Run;

struct Client(Store);

pub(crate) fn run(run: &Run) {
    let store = Store::open_file(run.file(), &OpenOptions::default()).unwrap();
    run.by_threads((0..run.clients).map(|_| Client(store.clone())).collect());
    store.close();
}

impl peer_part::Client for Client {
    fn cycle(&mut self) -> bool {
        let ClaimedNext::Feature(claimed) = self.0.call(ClaimNext).unwrap() else { return false };
        self.0.call(MarkPassing { id: claimed.feature.id }).unwrap();
        true
    }
}
