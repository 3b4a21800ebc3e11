//! A test for each scenario. Written by `RTALINK_BLESS=1 cargo test --test core scenarios::`.

mod brief_delta {
    scenario!(not_over_a_gap, "brief-delta/not-over-a-gap");
    scenario!(time_shows_that_it_lasted, "brief-delta/time-shows-that-it-lasted");
}

mod brief_event {
    scenario!(a_logout, "brief-event/a-logout");
    scenario!(a_short_state_is_absorbed, "brief-event/a-short-state-is-absorbed");
    scenario!(time_shows_that_it_lasted, "brief-event/time-shows-that-it-lasted");
}

mod brief_lost {
    scenario!(lost_while_the_login_waits, "brief-lost/lost-while-the-login-waits");
}

mod brief_night {
    scenario!(one_comes_back_in_time, "brief-night/one-comes-back-in-time");
    scenario!(the_last_ones_leave, "brief-night/the-last-ones-leave");
}

mod brief_repeat_timed {
    scenario!(the_longer_row_waits, "brief-repeat-timed/the-longer-row-waits");
}

mod brief_repeat {
    scenario!(a_logout_listed_once_per_split, "brief-repeat/a-logout-listed-once-per-split");
    scenario!(a_record_that_waits_is_dropped, "brief-repeat/a-record-that-waits-is-dropped");
    scenario!(a_short_state_listed_once_per_split, "brief-repeat/a-short-state-listed-once-per-split");
    scenario!(back_in_time_with_a_record_that_waits, "brief-repeat/back-in-time-with-a-record-that-waits");
    scenario!(back_in_time_with_merged_rows, "brief-repeat/back-in-time-with-merged-rows");
    scenario!(merged_rows_with_a_bad_one, "brief-repeat/merged-rows-with-a-bad-one");
    scenario!(still_logged_out_by_merged_rows, "brief-repeat/still-logged-out-by-merged-rows");
    scenario!(the_row_that_waits_wins, "brief-repeat/the-row-that-waits-wins");
}

mod brief_skilled {
    scenario!(a_login_with_the_same_skills, "brief-skilled/a-login-with-the-same-skills");
    scenario!(a_reskilling_is_one_change_of_skills, "brief-skilled/a-reskilling-is-one-change-of-skills");
}

mod brief_timed {
    scenario!(another_reason_behind_it, "brief-timed/another-reason-behind-it");
    scenario!(gone_while_the_login_waits, "brief-timed/gone-while-the-login-waits");
    scenario!(left_and_entered_while_it_waits, "brief-timed/left-and-entered-while-it-waits");
    scenario!(logged_in_again_began_anew, "brief-timed/logged-in-again-began-anew");
    scenario!(the_duration_shows_that_it_lasted, "brief-timed/the-duration-shows-that-it-lasted");
    scenario!(the_next_state_shows_that_it_lasted, "brief-timed/the-next-state-shows-that-it-lasted");
    scenario!(where_it_was_before, "brief-timed/where-it-was-before");
}

mod brief {
    scenario!(a_gap_ends_a_short_state, "brief/a-gap-ends-a-short-state");
    scenario!(a_gap_while_a_state_waits, "brief/a-gap-while-a-state-waits");
    scenario!(a_gap_within_a_short_state, "brief/a-gap-within-a-short-state");
    scenario!(a_login_by_way_of_a_short_state, "brief/a-login-by-way-of-a-short-state");
    scenario!(a_logout_by_absence_that_lasts, "brief/a-logout-by-absence-that-lasts");
    scenario!(a_logout_that_lasts, "brief/a-logout-that-lasts");
    scenario!(a_logout_whose_time_is_over_in_a_gap, "brief/a-logout-whose-time-is-over-in-a-gap");
    scenario!(a_short_state_before_another, "brief/a-short-state-before-another");
    scenario!(a_short_state_is_absorbed, "brief/a-short-state-is-absorbed");
    scenario!(a_state_that_lasts_has_its_true_start, "brief/a-state-that-lasts-has-its-true-start");
    scenario!(absent_for_a_moment, "brief/absent-for-a-moment");
    scenario!(absent_for_a_moment_while_the_login_waits, "brief/absent-for-a-moment-while-the-login-waits");
    scenario!(first_seen_in_a_short_state, "brief/first-seen-in-a-short-state");
    scenario!(gone_while_the_login_waits, "brief/gone-while-the-login-waits");
    scenario!(logged_in_again_as_something_else, "brief/logged-in-again-as-something-else");
    scenario!(logged_out_out_of_a_short_state, "brief/logged-out-out-of-a-short-state");
    scenario!(logon_rows_of_a_reskilling, "brief/logon-rows-of-a-reskilling");
    scenario!(no_record_shows_that_it_lasted, "brief/no-record-shows-that-it-lasted");
    scenario!(one_short_state_after_another, "brief/one-short-state-after-another");
    scenario!(restart_while_a_logout_waits, "brief/restart-while-a-logout-waits");
    scenario!(restart_while_a_state_waits, "brief/restart-while-a-state-waits");
    scenario!(restart_while_the_absence_of_a_login_counts, "brief/restart-while-the-absence-of-a-login-counts");
    scenario!(the_end_of_a_capture, "brief/the-end-of-a-capture");
    scenario!(the_first_news_after_a_gap_is_absorbed, "brief/the-first-news-after-a-gap-is-absorbed");
    scenario!(the_link_goes_down_while_a_state_waits, "brief/the-link-goes-down-while-a-state-waits");
    scenario!(the_rows_of_a_shift_end_are_not_suspect, "brief/the-rows-of-a-shift-end-are-not-suspect");
}

mod cisco_plain {
    scenario!(skills_and_split_do_not_count, "cisco-plain/skills-and-split-do-not-count");
}

mod cisco {
    scenario!(a_skill_more_or_less_counts, "cisco/a-skill-more-or-less-counts");
    scenario!(skills_are_a_set, "cisco/skills-are-a-set");
    scenario!(skills_told_twice_are_a_set, "cisco/skills-told-twice-are-a-set");
    scenario!(work_split_counts_with_details, "cisco/work-split-counts-with-details");
}

mod clock {
    scenario!(around_midnight, "clock/around-midnight");
}

mod codes {
    scenario!(raw_code_counts_in_unknown_only, "codes/raw-code-counts-in-unknown-only");
}

mod delta_repeat {
    scenario!(changes_without_an_end, "delta-repeat/changes-without-an-end");
    scenario!(no_further_rows_in_delta, "delta-repeat/no-further-rows-in-delta");
}

mod delta_rows {
    scenario!(rows_that_wait_count_for_the_link, "delta-rows/rows-that-wait-count-for-the-link");
}

mod delta_timed {
    scenario!(no_delay_in_delta, "delta-timed/no-delay-in-delta");
}

mod delta {
    scenario!(a_first_sight_is_observed, "delta/a-first-sight-is-observed");
    scenario!(link_down_by_last_records, "delta/link-down-by-last-records");
    scenario!(link_down_from_the_start, "delta/link-down-from-the-start");
    scenario!(ninety_percent_of_the_logged_in, "delta/ninety-percent-of-the-logged-in");
    scenario!(no_snapshot_with_a_marker, "delta/no-snapshot-with-a-marker");
    scenario!(open_at_a_disconnect, "delta/open-at-a-disconnect");
    scenario!(others_are_after_the_gap_whenever_they_come, "delta/others-are-after-the-gap-whenever-they-come");
    scenario!(silence_is_no_gap, "delta/silence-is-no-gap");
    scenario!(unknown_after_a_log_out_counts, "delta/unknown-after-a-log-out-counts");
    scenario!(unknown_waits_absence_means_nothing, "delta/unknown-waits-absence-means-nothing");
}

mod event {
    scenario!(after_a_gap_whenever_they_come, "event/after-a-gap-whenever-they-come");
    scenario!(nothing_waits, "event/nothing-waits");
    scenario!(records_without_an_end, "event/records-without-an-end");
    scenario!(reentered_after_a_reconnect, "event/reentered-after-a-reconnect");
    scenario!(reentered_at_once, "event/reentered-at-once");
    scenario!(reentered_by_state_start, "event/reentered-by-state-start");
    scenario!(silence_is_no_gap, "event/silence-is-no-gap");
}

mod fixed_1 {
    scenario!(an_id_that_is_cut_off, "fixed-1/an-id-that-is-cut-off");
}

mod idle_1 {
    scenario!(an_error_instead_of_a_report, "idle-1/an-error-instead-of-a-report");
}

mod idle {
    scenario!(a_marker_is_a_byte, "idle/a-marker-is-a-byte");
    scenario!(exactly_the_idle_time, "idle/exactly-the-idle-time");
    scenario!(half_a_record_and_silence, "idle/half-a-record-and-silence");
    scenario!(half_a_record_is_no_silence, "idle/half-a-record-is-no-silence");
    scenario!(silence_ends_the_snapshot, "idle/silence-ends-the-snapshot");
}

mod local {
    scenario!(a_start_told_in_both_hours, "local/a-start-told-in-both-hours");
    scenario!(a_time_that_does_not_occur, "local/a-time-that-does-not-occur");
    scenario!(durations_into_the_first_hour, "local/durations-into-the-first-hour");
    scenario!(durations_into_the_second_hour, "local/durations-into-the-second-hour");
    scenario!(reentered_in_the_second_hour, "local/reentered-in-the-second-hour");
    scenario!(ten_seconds_ahead_of_us, "local/ten-seconds-ahead-of-us");
    scenario!(the_first_of_two_hours, "local/the-first-of-two-hours");
    scenario!(the_second_of_two_hours, "local/the-second-of-two-hours");
}

mod lost_delta {
    scenario!(a_marker_restarts_the_clock, "lost-delta/a-marker-restarts-the-clock");
    scenario!(a_probe_does_not_restart_the_clock, "lost-delta/a-probe-does-not-restart-the-clock");
    scenario!(only_the_time_without_a_connection_counts, "lost-delta/only-the-time-without-a-connection-counts");
}

mod lost {
    scenario!(a_restart_of_a_lost_feed, "lost/a-restart-of-a-lost-feed");
    scenario!(a_restart_that_nobody_dials_into, "lost/a-restart-that-nobody-dials-into");
    scenario!(absences_go_on, "lost/absences-go-on");
    scenario!(disconnected_and_then_unknown, "lost/disconnected-and-then-unknown");
    scenario!(stale_and_then_unknown, "lost/stale-and-then-unknown");
}

mod marker_1 {
    scenario!(a_byte_order_mark_in_pieces, "marker-1/a-byte-order-mark-in-pieces");
    scenario!(a_fifth_is_not_suspect, "marker-1/a-fifth-is-not-suspect");
    scenario!(a_form_feed_before_a_record, "marker-1/a-form-feed-before-a-record");
    scenario!(a_gap_after_the_last_seen, "marker-1/a-gap-after-the-last-seen");
    scenario!(a_marker_after_silence_ends_what_was_cut_off, "marker-1/a-marker-after-silence-ends-what-was-cut-off");
    scenario!(a_newcomer_in_bad_records_only, "marker-1/a-newcomer-in-bad-records-only");
    scenario!(a_newcomer_who_was_not_there_begins_anew, "marker-1/a-newcomer-who-was-not-there-begins-anew");
    scenario!(a_record_that_is_too_long, "marker-1/a-record-that-is-too-long");
    scenario!(a_suspect_by_row, "marker-1/a-suspect-by-row");
    scenario!(a_suspect_seen_in_a_snapshot_that_is_too_early, "marker-1/a-suspect-seen-in-a-snapshot-that-is-too-early");
    scenario!(a_suspect_snapshot_after_a_suspect_one, "marker-1/a-suspect-snapshot-after-a-suspect-one");
    scenario!(absent_once_is_logged_out, "marker-1/absent-once-is-logged-out");
    scenario!(an_error_for_half_a_minute, "marker-1/an-error-for-half-a-minute");
    scenario!(an_error_instead_of_a_report, "marker-1/an-error-instead-of-a-report");
    scenario!(an_id_that_is_cut_off, "marker-1/an-id-that-is-cut-off");
    scenario!(an_incomplete_snapshot_confirms_no_suspects, "marker-1/an-incomplete-snapshot-confirms-no-suspects");
    scenario!(an_invisible_character_in_an_id, "marker-1/an-invisible-character-in-an-id");
    scenario!(more_than_a_fifth_is_suspect, "marker-1/more-than-a-fifth-is-suspect");
    scenario!(nine_are_not_suspect, "marker-1/nine-are-not-suspect");
    scenario!(row_log_outs_are_not_suspect, "marker-1/row-log-outs-are-not-suspect");
    scenario!(suspect_until_the_next_snapshot, "marker-1/suspect-until-the-next-snapshot");
    scenario!(suspects_are_confirmed_after_the_shortest_refresh, "marker-1/suspects-are-confirmed-after-the-shortest-refresh");
    scenario!(suspects_are_confirmed_half_a_period_later, "marker-1/suspects-are-confirmed-half-a-period-later");
    scenario!(suspects_do_not_count_in_the_next, "marker-1/suspects-do-not-count-in-the-next");
    scenario!(suspects_over_a_gap, "marker-1/suspects-over-a-gap");
    scenario!(suspects_who_come_back, "marker-1/suspects-who-come-back");
    scenario!(the_end_of_a_capture_makes_nobody_absent, "marker-1/the-end-of-a-capture-makes-nobody-absent");
    scenario!(white_space_around_an_id, "marker-1/white-space-around-an-id");
}

mod marker {
    scenario!(a_byte_order_mark_at_each_connect, "marker/a-byte-order-mark-at-each-connect");
    scenario!(a_chunk_without_open_opens, "marker/a-chunk-without-open-opens");
    scenario!(a_later_record_replaces_what_waits, "marker/a-later-record-replaces-what-waits");
    scenario!(a_marker_after_a_reconnect_ends_nothing, "marker/a-marker-after-a-reconnect-ends-nothing");
    scenario!(a_marker_before_the_first_record_ends_nothing, "marker/a-marker-before-the-first-record-ends-nothing");
    scenario!(a_marker_that_never_matches, "marker/a-marker-that-never-matches");
    scenario!(a_snapshot_of_bad_records_proves_nobody_absent, "marker/a-snapshot-of-bad-records-proves-nobody-absent");
    scenario!(a_snapshot_open_at_a_disconnect, "marker/a-snapshot-open-at-a-disconnect");
    scenario!(a_takeover_from_a_probe_that_was_not_told, "marker/a-takeover-from-a-probe-that-was-not-told");
    scenario!(a_twin_with_a_byte_order_mark, "marker/a-twin-with-a-byte-order-mark");
    scenario!(a_waiting_one_that_follows_a_probe_is_told_when_it_speaks, "marker/a-waiting-one-that-follows-a-probe-is-told-when-it-speaks");
    scenario!(absence_around_a_link_that_is_down, "marker/absence-around-a-link-that-is-down");
    scenario!(absence_is_dated_to_a_bad_first_record, "marker/absence-is-dated-to-a-bad-first-record");
    scenario!(absence_while_the_link_is_down, "marker/absence-while-the-link-is-down");
    scenario!(absences_after_the_first_snapshot_after_a_gap, "marker/absences-after-the-first-snapshot-after-a-gap");
    scenario!(absent_twice_is_logged_out, "marker/absent-twice-is-logged-out");
    scenario!(an_empty_snapshot_after_silence, "marker/an-empty-snapshot-after-silence");
    scenario!(an_empty_snapshot_by_marker, "marker/an-empty-snapshot-by-marker");
    scenario!(an_invalid_record_counts_as_present, "marker/an-invalid-record-counts-as-present");
    scenario!(an_undecodable_login_id, "marker/an-undecodable-login-id");
    scenario!(an_undecodable_record, "marker/an-undecodable-record");
    scenario!(an_unreadable_record_proves_no_log_in, "marker/an-unreadable-record-proves-no-log-in");
    scenario!(an_unreadable_record_proves_nobody_absent, "marker/an-unreadable-record-proves-nobody-absent");
    scenario!(aux_reason_counts_in_aux_only, "marker/aux-reason-counts-in-aux-only");
    scenario!(back_after_a_log_out_that_came_after_the_gap, "marker/back-after-a-log-out-that-came-after-the-gap");
    scenario!(bad_record_in_a_torn_snapshot_is_presence, "marker/bad-record-in-a-torn-snapshot-is-presence");
    scenario!(bad_records_of_a_twin_count, "marker/bad-records-of-a-twin-count");
    scenario!(being_seen_in_an_incomplete_snapshot_interrupts, "marker/being-seen-in-an-incomplete-snapshot-interrupts");
    scenario!(being_seen_interrupts_an_absence, "marker/being-seen-interrupts-an-absence");
    scenario!(below_ninety_percent_is_no_link_down, "marker/below-ninety-percent-is-no-link-down");
    scenario!(bytes_and_no_valid_record, "marker/bytes-and-no-valid-record");
    scenario!(changes_at_once, "marker/changes-at-once");
    scenario!(fifth_waiting_is_refused, "marker/fifth-waiting-is-refused");
    scenario!(first_seen_logged_out_is_remembered, "marker/first-seen-logged-out-is-remembered");
    scenario!(half_a_record_at_a_close_counts_as_seen, "marker/half-a-record-at-a-close-counts-as-seen");
    scenario!(half_a_record_at_a_disconnect, "marker/half-a-record-at-a-disconnect");
    scenario!(half_a_record_at_the_end_of_the_capture, "marker/half-a-record-at-the-end-of-the-capture");
    scenario!(half_a_record_is_no_takeover, "marker/half-a-record-is-no-takeover");
    scenario!(half_a_record_of_who_is_replaced_counts_as_seen, "marker/half-a-record-of-who-is-replaced-counts-as-seen");
    scenario!(half_an_id_at_a_close_is_nobody, "marker/half-an-id-at-a-close-is-nobody");
    scenario!(half_unlisted_is_readable, "marker/half-unlisted-is-readable");
    scenario!(headings_without_a_row_are_readable, "marker/headings-without-a-row-are-readable");
    scenario!(incomplete_snapshots_do_not_interrupt_an_absence, "marker/incomplete-snapshots-do-not-interrupt-an-absence");
    scenario!(link_down_at_ninety_percent, "marker/link-down-at-ninety-percent");
    scenario!(link_down_from_the_start, "marker/link-down-from-the-start");
    scenario!(log_out_by_row, "marker/log-out-by-row");
    scenario!(log_out_by_row_after_a_gap, "marker/log-out-by-row-after-a-gap");
    scenario!(log_out_not_before_last_seen, "marker/log-out-not-before-last-seen");
    scenario!(logged_in_after_being_absent, "marker/logged-in-after-being-absent");
    scenario!(logged_in_after_unknown_was_cut_off, "marker/logged-in-after-unknown-was-cut-off");
    scenario!(logged_in_by_a_logon_row, "marker/logged-in-by-a-logon-row");
    scenario!(logged_out_by_absence_then_by_row, "marker/logged-out-by-absence-then-by-row");
    scenario!(markers_break_the_silence, "marker/markers-break-the-silence");
    scenario!(newcomer_without_a_valid_record, "marker/newcomer-without-a-valid-record");
    scenario!(nine_agents_are_no_link_down, "marker/nine-agents-are-no-link-down");
    scenario!(no_gap_before_the_first_valid_record, "marker/no-gap-before-the-first-valid-record");
    scenario!(no_snapshot_for_thirty_seconds, "marker/no-snapshot-for-thirty-seconds");
    scenario!(no_snapshot_for_three_periods, "marker/no-snapshot-for-three-periods");
    scenario!(no_snapshot_is_counted_anew_after_a_gap, "marker/no-snapshot-is-counted-anew-after-a-gap");
    scenario!(oldest_waiting_follows, "marker/oldest-waiting-follows");
    scenario!(only_the_first_record_of_who_was_logged_in_is_after_the_gap, "marker/only-the-first-record-of-who-was-logged-in-is-after-the-gap");
    scenario!(others_are_after_the_gap_in_the_first_snapshot, "marker/others-are-after-the-gap-in-the-first-snapshot");
    scenario!(receipt_is_that_of_the_last_byte, "marker/receipt-is-that-of-the-last-byte");
    scenario!(reconnect_while_the_link_is_down, "marker/reconnect-while-the-link-is-down");
    scenario!(remembered_log_out_after_a_complete_snapshot, "marker/remembered-log-out-after-a-complete-snapshot");
    scenario!(restart_and_a_remembered_log_out, "marker/restart-and-a-remembered-log-out");
    scenario!(restart_between_two_absences, "marker/restart-between-two-absences");
    scenario!(restart_while_the_link_is_down, "marker/restart-while-the-link-is-down");
    scenario!(restart_with_changes, "marker/restart-with-changes");
    scenario!(restart_without_a_change, "marker/restart-without-a-change");
    scenario!(seen_before_in_a_bad_record_only, "marker/seen-before-in-a-bad-record-only");
    scenario!(silence_before_the_first_valid_record_cuts_nothing_off, "marker/silence-before-the-first-valid-record-cuts-nothing-off");
    scenario!(silence_cuts_the_open_snapshot_off, "marker/silence-cuts-the-open-snapshot-off");
    scenario!(skipped_lines_are_no_records, "marker/skipped-lines-are-no-records");
    scenario!(suspects_of_two_absences, "marker/suspects-of-two-absences");
    scenario!(the_first_record_of_who_was_logged_in_may_come_late, "marker/the-first-record-of-who-was-logged-in-may-come-late");
    scenario!(the_first_snapshot_that_proves_absence_after_a_gap, "marker/the-first-snapshot-that-proves-absence-after-a-gap");
    scenario!(thirty_seconds_are_no_gap, "marker/thirty-seconds-are-no-gap");
    scenario!(three_probes_a_minute_are_told, "marker/three-probes-a-minute-are-told");
    scenario!(three_takeovers_are_flapping, "marker/three-takeovers-are-flapping");
    scenario!(twin_after_a_silence, "marker/twin-after-a-silence");
    scenario!(twin_takes_over, "marker/twin-takes-over");
    scenario!(two_gaps_before_a_complete_snapshot, "marker/two-gaps-before-a-complete-snapshot");
    scenario!(two_takeovers_are_no_flapping, "marker/two-takeovers-are-no-flapping");
    scenario!(unknown_after_a_gap, "marker/unknown-after-a-gap");
    scenario!(unknown_after_the_link_is_up, "marker/unknown-after-the-link-is-up");
    scenario!(unknown_at_first_sight_and_cut_off, "marker/unknown-at-first-sight-and-cut-off");
    scenario!(unknown_is_logged_in, "marker/unknown-is-logged-in");
    scenario!(unknown_that_goes_on_with_other_blanks, "marker/unknown-that-goes-on-with-other-blanks");
    scenario!(unknown_waits_for_the_end, "marker/unknown-waits-for-the-end");
    scenario!(unlisted_codes_are_unreadable, "marker/unlisted-codes-are-unreadable");
    scenario!(unreadable_record_of_a_twin_counts, "marker/unreadable-record-of-a-twin-counts");
}

mod names {
    scenario!(a_bad_record_without_its_acd, "names/a-bad-record-without-its-acd");
    scenario!(a_log_out_by_absence_keeps_the_reason, "names/a-log-out-by-absence-keeps-the-reason");
    scenario!(a_null_leaves_what_was_known, "names/a-null-leaves-what-was-known");
    scenario!(an_acd_that_is_cut_off, "names/an-acd-that-is-cut-off");
    scenario!(direction_and_hold_are_state, "names/direction-and-hold-are-state");
    scenario!(levels_of_the_lookup, "names/levels-of-the-lookup");
    scenario!(log_out_reason_is_of_the_last_record, "names/log-out-reason-is-of-the-last-record");
    scenario!(logged_out_and_unknown_take_no_default, "names/logged-out-and-unknown-take-no-default");
    scenario!(logged_out_namesake, "names/logged-out-namesake");
    scenario!(name_of_two_who_come_together, "names/name-of-two-who-come-together");
    scenario!(one_login_id_on_two_acds, "names/one-login-id-on-two-acds");
    scenario!(one_login_on_two_acds_is_one, "names/one-login-on-two-acds-is-one");
    scenario!(remembered_log_out_shares_a_name, "names/remembered-log-out-shares-a-name");
    scenario!(renamed_without_a_change, "names/renamed-without-a-change");
    scenario!(shared_name_is_nobodys, "names/shared-name-is-nobodys");
    scenario!(text_takes_the_encoding_of_the_layout, "names/text-takes-the-encoding-of-the-layout");
}

mod night_1 {
    scenario!(a_burst_tells_no_period, "night-1/a-burst-tells-no-period");
    scenario!(at_least_two_periods, "night-1/at-least-two-periods");
    scenario!(less_than_two_periods, "night-1/less-than-two-periods");
}

mod night_idle {
    scenario!(a_last_record_that_cannot_be_read, "night-idle/a-last-record-that-cannot-be-read");
}

mod night_repeat_1 {
    scenario!(the_open_snapshot_is_complete_first, "night-repeat-1/the-open-snapshot-is-complete-first");
}

mod night_repeat {
    scenario!(garbage_in_the_same_read, "night-repeat/garbage-in-the-same-read");
    scenario!(garbage_is_no_silence, "night-repeat/garbage-is-no-silence");
    scenario!(ten_are_not_suspect, "night-repeat/ten-are-not-suspect");
    scenario!(the_open_snapshot_is_complete_first, "night-repeat/the-open-snapshot-is-complete-first");
}

mod night {
    scenario!(a_broken_record_in_an_empty_night, "night/a-broken-record-in-an-empty-night");
    scenario!(a_disconnect_meanwhile_is_a_gap, "night/a-disconnect-meanwhile-is-a-gap");
    scenario!(a_reconnect_in_an_empty_night, "night/a-reconnect-in-an-empty-night");
    scenario!(absent_before_the_silence, "night/absent-before-the-silence");
    scenario!(exactly_two_periods, "night/exactly-two-periods");
    scenario!(garbage_behind_the_marker, "night/garbage-behind-the-marker");
    scenario!(nobody_is_left, "night/nobody-is-left");
    scenario!(one_snapshot_tells_no_period, "night/one-snapshot-tells-no-period");
    scenario!(silence_in_a_snapshot_is_a_gap, "night/silence-in-a-snapshot-is-a-gap");
    scenario!(the_last_ones_leave, "night/the-last-ones-leave");
    scenario!(three_are_too_many, "night/three-are-too-many");
}

mod nothing_null {
    scenario!(an_empty_split_is_none, "nothing-null/an-empty-split-is-none");
}

mod one_activity {
    scenario!(over_a_log_out, "one-activity/over-a-log-out");
    scenario!(over_a_log_out_and_a_restart, "one-activity/over-a-log-out-and-a-restart");
    scenario!(over_a_log_out_by_absence, "one-activity/over-a-log-out-by-absence");
}

mod repeat_0 {
    scenario!(a_marker_is_harmless, "repeat-0/a-marker-is-harmless");
    scenario!(an_invalid_record_between_is_not_another_agent, "repeat-0/an-invalid-record-between-is-not-another-agent");
    scenario!(another_agent_between_ends_the_snapshot, "repeat-0/another-agent-between-ends-the-snapshot");
    scenario!(changes_of_one_agent_within_the_idle_time, "repeat-0/changes-of-one-agent-within-the-idle-time");
    scenario!(records_of_one_agent_as_far_apart_as_the_idle_time, "repeat-0/records-of-one-agent-as-far-apart-as-the-idle-time");
    scenario!(the_second_record_after_a_reconnect, "repeat-0/the-second-record-after-a-reconnect");
}

mod repeat {
    scenario!(a_snapshot_after_silence_is_after_a_gap, "repeat/a-snapshot-after-silence-is-after-a-gap");
    scenario!(an_agent_seen_again_ends_the_snapshot, "repeat/an-agent-seen-again-ends-the-snapshot");
    scenario!(an_invalid_record_ends_no_snapshot, "repeat/an-invalid-record-ends-no-snapshot");
    scenario!(leading_zeros_count, "repeat/leading-zeros-count");
    scenario!(link_down_at_the_repeat, "repeat/link-down-at-the-repeat");
    scenario!(open_at_a_disconnect, "repeat/open-at-a-disconnect");
    scenario!(silence_before_the_first_valid_record_ends_nothing, "repeat/silence-before-the-first-valid-record-ends-nothing");
    scenario!(silence_ends_the_snapshot, "repeat/silence-ends-the-snapshot");
    scenario!(silence_proves_no_log_in, "repeat/silence-proves-no-log-in");
    scenario!(the_end_of_the_capture, "repeat/the-end-of-the-capture");
    scenario!(unknown_and_the_next_record, "repeat/unknown-and-the-next-record");
}

mod rows_extension {
    scenario!(what_rides_along_is_known_at_the_row, "rows-extension/what-rides-along-is-known-at-the-row");
}

mod rows {
    scenario!(a_bad_row_before_the_first_valid_one, "rows/a-bad-row-before-the-first-valid-one");
    scenario!(bad_row_in_a_torn_snapshot, "rows/bad-row-in-a-torn-snapshot");
    scenario!(bad_row_keeps_the_state, "rows/bad-row-keeps-the-state");
    scenario!(end_of_capture_drops_rows, "rows/end-of-capture-drops-rows");
    scenario!(link_down_by_the_winning_row, "rows/link-down-by-the-winning-row");
    scenario!(log_out_needs_every_row, "rows/log-out-needs-every-row");
    scenario!(longest_duration_then_first_row, "rows/longest-duration-then-first-row");
    scenario!(precedence_of_rows, "rows/precedence-of-rows");
    scenario!(reentered_by_the_winning_row, "rows/reentered-by-the-winning-row");
    scenario!(skills_are_a_set, "rows/skills-are-a-set");
    scenario!(takeover_drops_rows, "rows/takeover-drops-rows");
}

mod skilled {
    scenario!(a_new_reason_with_its_own_state_start, "skilled/a-new-reason-with-its-own-state-start");
    scenario!(a_reentry_tells_its_own_record, "skilled/a-reentry-tells-its-own-record");
}

mod split_1 {
    scenario!(a_bad_record_after_a_reconnect_and_then_silence, "split-1/a-bad-record-after-a-reconnect-and-then-silence");
    scenario!(a_line_that_stalls, "split-1/a-line-that-stalls");
    scenario!(a_newcomer_in_bad_records_only, "split-1/a-newcomer-in-bad-records-only");
    scenario!(a_piece_of_the_same_burst_confirms_nobody, "split-1/a-piece-of-the-same-burst-confirms-nobody");
    scenario!(a_tenth_with_further_rows_proves_absence, "split-1/a-tenth-with-further-rows-proves-absence");
    scenario!(absence_needs_silence_before_the_record_that_ends_it, "split-1/absence-needs-silence-before-the-record-that-ends-it");
    scenario!(two_of_ten_with_further_rows_prove_nothing, "split-1/two-of-ten-with-further-rows-prove-nothing");
}

mod split_details {
    scenario!(no_reentry_where_the_longest_duration_goes_on, "split-details/no-reentry-where-the-longest-duration-goes-on");
    scenario!(skills_each_once, "split-details/skills-each-once");
    scenario!(the_longest_duration_wins, "split-details/the-longest-duration-wins");
}

mod split {
    scenario!(a_bad_row_among_merged_rows, "split/a-bad-row-among-merged-rows");
    scenario!(a_bad_row_drops_the_further_rows, "split/a-bad-row-drops-the-further-rows");
    scenario!(a_disconnect_drops_the_further_rows, "split/a-disconnect-drops-the-further-rows");
    scenario!(acd_beside_other_does_not_flicker, "split/acd-beside-other-does-not-flicker");
    scenario!(adjacent_records_of_one_agent, "split/adjacent-records-of-one-agent");
    scenario!(exactly_the_shortest_refresh, "split/exactly-the-shortest-refresh");
    scenario!(less_than_the_shortest_refresh, "split/less-than-the-shortest-refresh");
    scenario!(link_down_by_the_row_that_wins, "split/link-down-by-the-row-that-wins");
    scenario!(repeated_rows_is_told_once_and_again, "split/repeated-rows-is-told-once-and-again");
    scenario!(repeated_rows_over_a_torn_snapshot, "split/repeated-rows-over-a-torn-snapshot");
    scenario!(rows_of_one_refresh_are_one_snapshot, "split/rows-of-one-refresh-are-one-snapshot");
    scenario!(unknown_beside_a_further_row, "split/unknown-beside-a-further-row");
}

mod stamped {
    scenario!(cut_off, "stamped/cut-off");
}

mod timed {
    scenario!(a_delay_and_a_state_start, "timed/a-delay-and-a-state-start");
    scenario!(a_later_record_replaces_a_reentry, "timed/a-later-record-replaces-a-reentry");
    scenario!(a_null_between_two_state_starts, "timed/a-null-between-two-state-starts");
    scenario!(a_start_told_again_after_unknown, "timed/a-start-told-again-after-unknown");
    scenario!(a_state_start_of_a_torn_snapshot, "timed/a-state-start-of-a-torn-snapshot");
    scenario!(after_a_state_start_that_was_ahead, "timed/after-a-state-start-that-was-ahead");
    scenario!(another_state_start_with_a_long_duration, "timed/another-state-start-with-a-long-duration");
    scenario!(as_long_as_the_time_since_the_last_record, "timed/as-long-as-the-time-since-the-last-record");
    scenario!(aux_with_a_reason_at_first_sight, "timed/aux-with-a-reason-at-first-sight");
    scenario!(delay_does_not_grow_over_a_gap, "timed/delay-does-not-grow-over-a-gap");
    scenario!(delay_grows_no_faster_than_time, "timed/delay-grows-no-faster-than-time");
    scenario!(delay_of_the_feed, "timed/delay-of-the-feed");
    scenario!(direction_began_by_duration, "timed/direction-began-by-duration");
    scenario!(end_of_capture_publishes_what_waited, "timed/end-of-capture-publishes-what-waited");
    scenario!(feed_that_catches_up_is_no_delay, "timed/feed-that-catches-up-is-no-delay");
    scenario!(first_seen_while_the_link_is_down, "timed/first-seen-while-the-link-is-down");
    scenario!(first_sight_after_logout_by_duration, "timed/first-sight-after-logout-by-duration");
    scenario!(first_sight_by_duration_is_exact, "timed/first-sight-by-duration-is-exact");
    scenario!(first_sight_of_a_newcomer, "timed/first-sight-of-a-newcomer");
    scenario!(growth_resumes_after_the_gap, "timed/growth-resumes-after-the-gap");
    scenario!(logged_out_never_reenters, "timed/logged-out-never-reenters");
    scenario!(logged_out_rows_tell_the_delay, "timed/logged-out-rows-tell-the-delay");
    scenario!(never_before_the_previous_state, "timed/never-before-the-previous-state");
    scenario!(no_state_begins_before_it_was_last_seen, "timed/no-state-begins-before-it-was-last-seen");
    scenario!(reason_alone_began_at_base, "timed/reason-alone-began-at-base");
    scenario!(reentered_above_the_tolerance, "timed/reentered-above-the-tolerance");
    scenario!(reentered_after_a_gap, "timed/reentered-after-a-gap");
    scenario!(reentered_after_more_than_two_periods, "timed/reentered-after-more-than-two-periods");
    scenario!(reentered_by_a_second_record_after_a_gap, "timed/reentered-by-a-second-record-after-a-gap");
    scenario!(reentered_by_state_start, "timed/reentered-by-state-start");
    scenario!(reentered_in_aux_with_a_reason, "timed/reentered-in-aux-with-a-reason");
    scenario!(reentered_not_before_the_known_state, "timed/reentered-not-before-the-known-state");
    scenario!(reentered_over_a_gap_of_more_than_two_periods, "timed/reentered-over-a-gap-of-more-than-two-periods");
    scenario!(reentered_starts_the_activity_anew, "timed/reentered-starts-the-activity-anew");
    scenario!(reentry_of_a_torn_snapshot, "timed/reentry-of-a-torn-snapshot");
    scenario!(reentry_while_the_link_is_down, "timed/reentry-while-the-link-is-down");
    scenario!(restart_and_reentered, "timed/restart-and-reentered");
    scenario!(restart_and_the_same_state_start, "timed/restart-and-the-same-state-start");
    scenario!(since_after_a_gap, "timed/since-after-a-gap");
    scenario!(since_of_a_reentry_not_before_the_known, "timed/since-of-a-reentry-not-before-the-known");
    scenario!(start_of_a_torn_snapshot, "timed/start-of-a-torn-snapshot");
    scenario!(state_start_ahead_is_no_reentry, "timed/state-start-ahead-is-no-reentry");
    scenario!(state_start_beats_duration, "timed/state-start-beats-duration");
    scenario!(the_least_shift_is_the_delay, "timed/the-least-shift-is-the-delay");
    scenario!(the_same_state_start_with_another_duration, "timed/the-same-state-start-with-another-duration");
    scenario!(three_unchanged_tell_a_delay, "timed/three-unchanged-tell-a-delay");
    scenario!(timestamp_ahead_is_clamped, "timed/timestamp-ahead-is-clamped");
    scenario!(two_unchanged_tell_no_delay, "timed/two-unchanged-tell-no-delay");
    scenario!(unknown_can_be_reentered, "timed/unknown-can-be-reentered");
    scenario!(unknown_drops_a_start, "timed/unknown-drops-a-start");
    scenario!(unknown_replaces_a_reentry, "timed/unknown-replaces-a-reentry");
    scenario!(without_a_state_start_by_duration, "timed/without-a-state-start-by-duration");
}

mod words {
    scenario!(durations_and_words_of_the_site, "words/durations-and-words-of-the-site");
}
