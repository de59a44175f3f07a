//! What every store keeps to: the promises of the trait one by one, and random calls whose answers are
//! those of the store in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod cases;
mod kinds;
#[cfg(feature = "postgres")]
mod postgres;
mod random;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod random_records;
#[cfg(feature = "sqlite")]
#[path = "sqlite.rs"]
mod sqlite_files;
mod stage;

/// All that a kind of store is tested with. `$fresh` gives an empty one, or `None` where it cannot be
/// tested.
macro_rules! suite {
    ($kind:ident, $fresh:path) => {
        mod $kind {
            suite! { @cases $fresh =>
                create: [
                    one_that_is_accepted_is_queued_and_due,
                    one_with_an_owner_has_a_fence,
                    one_whose_owner_is_gone_is_anybodys,
                    what_it_starts_with_is_kept,
                    a_repeated_start_changes_nothing,
                    a_key_finds_its_execution_for_a_week,
                    a_key_for_another_start_is_a_conflict,
                    a_key_is_that_of_a_project,
                    many_starts_with_one_key_are_one,
                    s21_texts_may_hold_anything,
                ]
                append: [
                    events_are_kept_in_order,
                    a_repetition_is_committed_and_changes_nothing,
                    nothing_changes_behind_a_wrong_fence,
                    what_does_not_follow_is_out_of_order,
                    nothing_follows_the_end,
                    calls_that_are_not_waited_for_are_made_in_order,
                    a_refused_one_does_not_undo_its_neighbours,
                    a_dropped_call_is_done_or_not,
                    progress_changes_the_row,
                    a_failure_is_kept_with_the_row,
                    large_and_empty_segments_are_exact,
                    lines_are_numbered,
                    lines_of_a_repetition_are_kept_once,
                ]
                owners: [
                    those_due_first_are_claimed_first,
                    nobody_gets_the_same_one_twice,
                    a_newer_format_is_not_claimed,
                    one_is_claimed_due_or_not,
                    one_that_is_let_go_is_due_at_its_time,
                    one_that_waits_for_a_message_is_due_with_it,
                    a_release_may_be_repeated,
                    whoever_lost_it_is_fenced,
                    an_owner_that_leaves_has_nothing,
                ]
                messages: [
                    each_is_kept_once_until_it_is_taken,
                    an_owner_gets_its_own,
                    none_is_kept_for_those_that_end,
                    so_many_may_wait,
                    the_bell_rings,
                ]
                reading: [
                    a_list_is_read_in_pages,
                    a_list_is_filtered,
                    a_list_is_of_one_project,
                    what_has_ended_since_is_listed,
                    those_that_wait_for_their_turn_are_counted,
                    those_that_have_gone_on_are_found,
                    segments_are_read_in_parts,
                    values_are_kept_once,
                    what_is_not_there_is_left_out,
                ]
                prune: [
                    those_that_ended_long_ago_go,
                    those_beyond_the_newest_go,
                    what_only_they_have_goes_with_them,
                    a_key_that_another_has_by_now_stays,
                    all_go_in_the_end,
                    what_would_go_is_known_before,
                ]
            }

            #[test]
            fn random_calls_are_answered_as_by_the_one_in_memory() {
                crate::random::agrees(|| async { $fresh().await.map(crate::kinds::Place::from) });
            }
        }
    };
    (@cases $fresh:path => $($area:ident: [$($case:ident),* $(,)?])*) => {
        $(mod $area {
            $(
                #[tokio::test]
                async fn $case() {
                    if let Some(place) = $fresh().await {
                        crate::cases::$area::$case(crate::stage::Stage::new(place.into()).await).await;
                    }
                }
            )*
        })*
    };
}

/// What a kind that is on a disk is tested with besides.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! disk_suite {
    ($kind:ident, $fresh:path) => {
        mod $kind {
            disk_suite! { @cases $fresh =>
                disk: [
                    everything_is_there_after_a_reopen,
                    a_visitor_sees_what_is_committed,
                    what_a_visitor_leaves_is_found,
                    starts_with_one_key_by_several_are_one,
                    it_may_be_opened_by_many_at_once,
                    a_visitor_prunes_while_the_owner_writes,
                ]
                records: [
                    each_has_its_versions,
                    what_is_not_as_expected_changes_nothing,
                    a_repeated_commit_is_made_once,
                    a_number_is_never_used_again,
                    lists_are_read_in_pages,
                    a_follower_sees_the_newest_of_each,
                    bodies_and_names_may_be_anything,
                    many_who_change_one_lose_nothing,
                    a_dropped_commit_is_done_or_not,
                    the_bell_rings_here_and_elsewhere,
                ]
                audit: [
                    it_is_read_in_pages,
                    a_start_is_written_down_with_it,
                    a_message_is_written_down_with_it,
                    every_link_follows_the_one_before,
                    what_was_changed_is_named,
                    what_is_missing_is_named,
                ]
            }

            #[test]
            fn random_commits_are_answered_as_by_a_list_of_versions() {
                crate::random_records::agrees(|| async { $fresh().await });
            }
        }
    };
    (@cases $fresh:path => $($area:ident: [$($case:ident),* $(,)?])*) => {
        $(mod $area {
            $(
                #[tokio::test]
                async fn $case() {
                    if let Some(place) = $fresh().await {
                        crate::cases::$area::$case(place.into()).await;
                    }
                }
            )*
        })*
    };
}

suite!(memory, crate::kinds::memory);

#[cfg(feature = "sqlite")]
suite!(sqlite, crate::kinds::sqlite);
#[cfg(feature = "sqlite")]
disk_suite!(sqlite_disk, crate::kinds::sqlite);
#[cfg(feature = "postgres")]
suite!(postgres_with_one_connection, crate::postgres::with_one_connection);
#[cfg(feature = "postgres")]
suite!(postgres_with_two_connections, crate::postgres::with_two_connections);
#[cfg(feature = "postgres")]
disk_suite!(postgres_disk, crate::postgres::with_one_connection);
