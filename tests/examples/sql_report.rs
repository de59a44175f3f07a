//! `examples/sql-report`.

use serde_json::json;

use super::support::outputs;

#[test]
fn sales_are_recorded_once_and_summed_up() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("database=sqlite://{}", folder.path().join("sales.db").display());
    for _ in 0..2 {
        assert_eq!(
            outputs("examples/sql-report/workflow.json", &[&database]),
            json!({
                "recorded": 3,
                "regions": [
                    { "region": "north", "sales": 2, "cents": 6225 },
                    { "region": "south", "sales": 1, "cents": 800 },
                ],
            })
        );
    }
}
