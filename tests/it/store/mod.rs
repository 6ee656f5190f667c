//! One suite for every store: what the ports promise, kept by each implementation.
//!
//! The functions of [`tickets`], [`projects`], [`comments`], [`sends`], [`scheduled`],
//! [`retention`], [`inbox`], [`marks`], [`changes`], [`lists`], [`searches`], [`accounts`],
//! [`account_links`], [`audit`], [`clocks`], [`origins`], [`withdrawn_rights`],
//! [`groups`], [`reports`],
//! [`outbox`], [`attempts`], [`delivery_log`], [`digests`], [`epochs`],
//! [`escalations`], [`explain`],
//! [`preferences`], [`push`], [`nodes`], [`templates`], [`webhooks`] and
//! [`model`] know only the ports;
//! [`sqlite`] runs them all on SQLite, and adds what is its own, as [`sqlite_outbox`],
//! [`sqlite_reports`] and [`sqlite_search`] do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod account_links;
mod accounts;
mod attempts;
mod audit;
mod changes;
mod clocks;
mod comments;
mod delivery_log;
mod digests;
mod epochs;
mod escalations;
mod explain;
mod groups;
mod inbox;
mod large;
mod lists;
mod marks;
mod model;
mod nodes;
mod once;
mod origins;
mod outbox;
mod people;
mod postgres;
mod postgres_accounts;
mod postgres_crash;
mod postgres_groups;
mod postgres_leases;
mod postgres_lost;
mod postgres_open;
mod postgres_plans;
mod postgres_reads;
mod postgres_rolling;
mod postgres_round_trips;
mod postgres_tickets;
mod postgres_values;
mod preferences;
mod projects;
mod push;
mod reports;
mod retention;
mod scheduled;
mod searches;
mod send_claims;
pub(crate) mod sends;
mod sqlite;
mod sqlite_deferring;
mod sqlite_groups;
mod sqlite_older;
mod sqlite_outbox;
mod sqlite_reports;
mod sqlite_search;
mod templates;
mod tickets;
mod webhooks;
mod withdrawn_rights;

use std::sync::Arc;

use async_trait::async_trait;
use bellpull_domain::routing::{Channel, Channels};
use bellpull_port::Store;

/// A fresh store for one test.
#[async_trait]
pub(crate) trait Fixture: Sized + Send + Sync + 'static {
    /// Its kind.
    type Store: Store;

    /// Whether only one process can have the data open: then a store that is begun anew has ended
    /// the leases of the process before.
    const IS_EXCLUSIVE: bool;

    /// Why it cannot run here, if it cannot.
    fn missing() -> Option<&'static str> {
        None
    }

    /// An empty one, with these channels switched on.
    async fn with_channels(channels: Channels) -> Self;

    /// What is tested.
    fn store(&self) -> &Arc<Self::Store>;

    /// The same data in a store that was begun anew, as after a crash.
    async fn reopen(self) -> Self;

    /// Runs a statement past the store, as another process would.
    async fn execute(&self, sql: &str);

    /// An empty one with e-mail and SMS switched on.
    async fn make() -> Self {
        Self::with_channels(Channels::of(&[Channel::Email, Channel::Sms])).await
    }
}

/// Makes a test of each function of the suite, for one kind of store.
macro_rules! suite {
    ($fixture:ty) => {
        suite!($fixture;
            tickets {
                a_new_ticket_takes_its_projects_next_number,
                a_ticket_of_an_unknown_project_is_refused,
                a_ticket_is_read_as_it_was_written,
                rivals_in_one_group_conflict,
                rivals_in_two_groups_conflict,
                two_versions_in_one_group_follow_each_other,
                a_deleted_ticket_is_gone_and_nothing_of_it_is_used_again,
                a_history_is_paged_and_outlives_its_ticket,
                each_recipient_is_told_once_and_the_actor_never,
                inactive_admins_are_not_told,
                a_decision_without_an_announcement_has_no_entries,
                projects_and_members_are_found,
                accounts_are_found_by_their_ids,
            }
            projects {
                a_project_has_a_key_of_its_own,
                members_come_and_go,
                lists_show_open_projects_and_ones_own,
                people_share_a_project_by_its_list,
            }
            push {
                each_browser_gets_a_delivery_of_its_own,
                a_subscription_ends_with_the_login_that_made_it,
                a_browser_is_one_users_and_has_its_newest_keys,
                a_browser_that_is_gone_is_forgotten_with_the_attempt,
                of_too_many_browsers_the_oldest_goes,
            }
            webhooks {
                a_webhook_is_kept_changed_and_forgotten,
                there_are_so_many_webhooks_and_no_more,
                a_list_shows_ones_own_and_those_of_projects,
                a_users_webhook_hears_of_what_comes_into_the_inbox,
                a_projects_webhook_is_called_once_an_event_whatever_its_recipients,
                an_event_without_recipients_reaches_a_projects_webhook,
                what_a_project_was_told_is_kept_with_its_deliveries,
                an_old_secret_signs_beside_the_new_one_for_a_day,
                a_webhook_that_is_gone_is_switched_off,
                a_webhook_that_fails_for_long_is_switched_off_and_its_owner_told_once,
                a_record_that_is_repeated_counts_once,
                a_full_lane_does_not_hold_up_the_others,
                what_is_in_a_full_lane_is_not_due,
                a_lane_that_hangs_gets_one_at_a_time_until_it_answers,
            }
            nodes {
                a_node_is_listed_as_it_registered,
                a_heartbeat_says_how_a_node_is,
                a_silent_node_has_left_and_comes_back,
                a_live_name_is_taken,
                a_node_that_left_is_listed_for_an_hour,
                a_store_of_one_process_forgets_earlier_nodes,
            }
            templates {
                templates_are_kept_replaced_and_forgotten,
                there_is_a_bound_on_templates,
                a_lease_has_its_recipients_language,
            }
            comments {
                a_comment_is_kept_and_tells_whom_it_names,
                comments_are_paged_oldest_first,
                a_comment_on_a_ticket_that_is_gone_is_refused,
                a_comment_on_another_version_of_the_ticket_is_a_conflict,
                a_comment_that_cannot_be_told_is_not_written,
                people_are_found_by_their_names,
                users_who_may_be_mentioned_are_found_page_by_page,
            }
            once {
                a_key_is_kept_with_whatever_it_creates,
                a_rejected_request_spends_no_key,
            }
            reports {
                a_report_adds_up_what_became_of_each_event,
                a_report_is_narrowed_to_an_event_and_a_channel,
                a_report_goes_by_the_time_of_messages_and_not_by_their_ids,
                a_send_for_later_counts_when_it_is_due,
            }
            audit {
                entries_are_listed_newest_first_and_by_filters,
                old_entries_are_removed,
            }
            retention {
                deliveries_go_by_their_time_and_not_by_their_ids,
                deliveries_that_ended_go_with_their_attempts,
                a_walk_goes_in_small_steps_over_what_stays,
                tombstones_go_and_their_inbox_knows,
                a_tombstone_stays_with_its_deliveries,
                a_message_goes_with_its_last_row,
                a_message_stays_while_its_key_is_remembered,
            }
            send_claims {
                due_sends_come_the_longest_due_first,
                two_owners_never_step_the_same_send,
                each_step_renews_a_claim_and_an_expired_one_is_taken,
                a_finished_send_is_claimed_by_none,
                a_release_frees_only_its_owners_claims,
                a_store_of_one_process_ends_the_claims_of_earlier_ones,
            }
            scheduled {
                what_waits_and_what_is_under_way_is_listed,
                a_send_is_cancelled_before_it_begins,
                a_send_under_way_stops_where_it_is,
                a_chunk_and_a_cancellation_at_once_agree,
                a_clock_that_is_put_back_begins_nothing_twice,
            }
            sends {
                a_send_reaches_each_audience,
                chunks_reach_every_recipient_once,
                two_chunks_in_one_group_follow_each_other,
                sends_that_meet_go_on_in_step,
                newcomers_are_left_out_and_so_is_who_was_deactivated,
                a_newcomer_with_a_low_id_is_left_out_too,
                a_crash_between_chunks_changes_nothing,
                a_repeated_key_gives_the_first_answer,
                a_send_to_one_names_its_notification,
                a_key_is_its_owners,
                rivals_with_one_key_send_once,
                unknown_recipients_stop_a_send,
                a_send_without_recipients_is_done,
                a_send_for_later_waits,
                old_keys_are_forgotten,
                a_letter_is_shared_by_all_chunks,
                deliveries_go_out_on_the_sends_channels,
            }
            changes {
                changes_are_a_compacted_log,
                changes_are_paged_without_gap,
                newest_changes_say_how_many_they_leave_out,
            }
            inbox {
                unknown_and_new_users_have_an_empty_inbox,
                heads_are_answered_in_a_crowd,
                births_come_in_order_with_the_head,
                letters_are_shared_and_survive_their_rows,
                newest_births_say_how_many_they_leave_out,
                deleted_rows_are_no_births,
                delivered_is_raised_and_never_lowered,
                delivered_never_passes_the_inbox,
                the_rows_that_took_numbers_are_found,
                a_stored_position_that_cannot_be_counts_as_none,
                what_is_acknowledged_is_a_position_of_its_own,
                deliveries_are_made_for_channels_that_are_on,
                unread_counts_are_per_channel,
            }
            marks {
                marks_change_rows_once,
                marks_pass_over_what_is_not_the_users,
                a_delete_leaves_a_tombstone,
                up_to_marks_the_older_ones,
                all_can_be_narrowed,
                numbers_follow_births,
                marks_on_one_inbox_in_one_group_see_each_other,
                marks_and_births_of_one_group_share_the_numbers,
                a_long_inbox_is_read_at_once,
                a_large_inbox_is_marked_in_portions,
            }
            searches {
                all_words_must_match_each_with_its_beginning,
                text_without_spaces_and_letters_that_fold_are_found,
                a_key_and_a_number_find_one_ticket,
                what_means_something_to_a_query_means_nothing_here,
                the_words_follow_the_ticket,
                a_search_shows_what_its_caller_may_see,
                a_search_is_paged_newest_first,
                searches_of_callers_who_see_few_tickets_leave_the_index_alone,
            }
            lists {
                tickets_are_shown_to_whom_they_concern,
                a_list_shows_exactly_what_the_rule_allows,
                tickets_are_narrowed_by_each_filter,
                tickets_are_paged_newest_first,
                notifications_are_narrowed_by_each_filter,
                notifications_are_paged,
                a_notification_is_its_recipients_own,
                a_notification_shows_all_that_was_said,
            }
            accounts {
                an_account_is_read_as_it_was_made,
                names_and_addresses_are_taken_once,
                an_account_is_announced_to_those_who_exist,
                an_account_that_cannot_be_announced_is_not_made,
                credentials_are_found_by_name_or_address,
                changes_change_only_what_they_name,
                one_super_admin_stays_whatever_comes_in_one_group,
                one_super_admin_stays_whatever_comes_in_two_groups,
                a_change_stands_on_the_role_that_was_seen,
                accounts_are_listed_and_searched,
                a_refresh_token_is_good_until_its_successor_was_used,
                a_login_ends_by_revocation_and_by_time,
                what_has_ended_is_known_until_its_last_access_token_is_over,
                logins_without_a_good_token_are_forgotten,
                settings_keep_their_first_value_until_they_are_set,
                it_answers,
            }
            origins {
                the_hubs_numbers_are_apart_once_that_is_said,
                claims_are_applied_in_the_order_of_their_tokens,
                rival_claims_leave_those_of_the_youngest_token,
                an_account_that_is_handed_over_has_no_password_and_no_login,
            }
            withdrawn_rights {
                withdrawn_rights_are_read_by_time,
                removed_members_are_read_until_they_are_members_again,
            }
            account_links {
                a_link_is_good_once_and_until_it_expires,
                a_link_is_mailed_only_where_it_is_of_use,
                of_too_many_links_the_oldest_by_time_gives_way,
                a_mail_about_an_account_leaves_only_while_its_link_is_good,
                another_address_must_be_confirmed_unless_an_issuer_vouches,
                a_new_password_ends_all_logins_but_the_one_that_is_kept,
            }
            groups {
                sequences_have_no_gap_in_one_group,
                sequences_have_no_gap_in_many_groups,
                a_failing_request_harms_no_other,
                a_missing_recipient_fails_only_its_own,
                requests_of_every_kind_share_a_group,
                a_caller_that_gives_up_harms_no_other,
            }
            epochs {
                a_new_epoch_begins_above_all_numbers,
            }
            clocks {
                what_was_due_is_due_after_the_clock_was_set_back,
                what_was_written_in_the_future_is_due_by_the_clock_as_it_is,
            }
            digests {
                quiet_hours_delay_what_leaves_the_house,
                a_digest_gathers_all_that_is_due_for_its_recipient_only,
                a_digest_says_the_same_over_retries_and_a_crash,
                a_long_digest_goes_on_in_another_e_mail,
            }
            outbox {
                what_is_due_is_leased_the_longest_due_first,
                a_leased_delivery_is_leased_by_no_other_owner,
                a_lease_says_all_that_a_sender_needs,
                a_lease_outlives_a_crash_and_ends,
                a_lease_ends_by_its_time_for_any_owner,
                a_release_frees_only_its_owners_leases,
                only_the_owner_gives_a_lease_back,
                a_lease_is_extended_by_its_owner_alone,
                two_owners_share_what_is_due,
                a_lost_lease_leaves_the_next_owners_alone,
                what_the_lost_owner_has_sent_is_not_sent_again,
                an_ended_lease_that_was_not_taken_over_is_recorded,
                an_ended_lease_is_an_attempt_of_its_own,
                a_restarted_channel_frees_its_leases_and_no_others,
                leases_are_given_back_unused,
                a_late_return_takes_nothing_from_the_next,
                the_next_due_is_known,
                an_address_that_is_gone_holds_back,
                a_lease_holds_back_so_many_at_once_and_the_next_ones_the_rest,
                a_crowd_of_leases_shares_nothing,
            }
            attempts {
                a_sent_one_is_sent_once,
                a_later_one_comes_back_when_it_is_due,
                a_refused_one_has_failed,
                a_record_may_be_repeated,
                a_late_failure_leaves_its_row_only,
                a_late_success_counts_whatever_came_meanwhile,
                several_attempts_in_one_record_follow_each_other,
                records_of_a_crowd_are_written_together,
                what_a_provider_says_is_bounded,
                a_provider_that_took_it_may_have_died_with_us,
                reports_never_go_back,
                a_report_that_comes_before_its_record_counts_with_it,
                early_reports_are_kept_for_a_while_and_in_a_bound,
                a_failed_one_is_retried_and_no_other,
            }
            delivery_log {
                deliveries_are_narrowed_and_paged_newest_first,
                a_notification_shows_one_delivery_a_channel,
                what_waits_is_counted,
                a_refused_decision_leaves_no_delivery,
            }
            escalations {
                policies_are_kept_listed_and_taken_away,
                policies_have_a_bound,
                a_step_is_due_when_it_has_waited,
                a_read_or_a_delete_calls_the_rest_off,
                marks_of_one_group_call_off_each_its_own,
                a_ticket_that_moves_on_calls_the_rest_off,
                two_steps_of_a_ticket_in_one_group_leave_the_last_ones,
                what_is_with_a_provider_may_go_out,
                what_is_with_a_provider_when_its_ticket_moves_on_is_not_tried_again,
                a_late_success_of_what_was_called_off_counts,
                wishes_hold_back_steps_too,
                sends_go_by_their_events_policy,
            }
            explain {
                a_notification_says_what_it_is_of,
                a_tickets_events_are_told_or_not,
            }
            preferences {
                wishes_are_merged_and_kept,
                wishes_need_an_account_and_have_a_bound,
                a_wish_against_a_channel_is_recorded,
                a_wish_for_a_channel_adds_it,
                a_wish_against_the_inbox_makes_nothing,
                sends_go_by_wishes_and_what_is_critical_passes,
                wishes_count_for_whatever_comes_after_them,
            }
            model { inboxes_behave_as_their_model, }
        );
    };
    ($fixture:ty; $($part:ident { $($name:ident,)* })*) => {
        $(mod $part {
            $(#[tokio::test]
            async fn $name() {
                if let Some(why) = <$fixture as $crate::store::Fixture>::missing() {
                    return $crate::support::skip::skipped(why);
                }
                Box::pin($crate::store::$part::$name::<$fixture>()).await;
            })*
        })*
    };
}
pub(crate) use suite;
