//! From a workflow to a started execution.

use crate::cancel::chain;
use crate::stage::Stage;
use crate::support::paused;

#[test]
fn a_chain_of_100_000_nodes_has_a_plan_on_a_small_stack() {
    paused(async {
        let plan = Stage::new().runtime().plan(&chain("quick.inline", 100_000)).unwrap();
        assert_eq!(plan.graph().len(), 100_000);
    });
}
