//! Sections that configurations of tests have in common.

/// Topics that begin with `name`.
pub(crate) fn topics(name: &str) -> String {
    format!(
        r#"
        [kafka.topics]
        events = "{name}.events"
        current = "{name}.current"
        feed_status = "{name}.feed-status"
        dead_letter = "{name}.dead-letter"
        checkpoint = "{name}.checkpoint"
        audit = "{name}.audit"
        "#
    )
}

/// The integration `avaya-1`, everything on free ports; `settings` and `realtime` are further lines of its sections, the
/// latter perhaps with other sections behind. Tests send their refreshes as fast as they can.
pub(crate) fn integration(settings: &str, realtime: &str) -> String {
    format!(
        r#"
        [http]
        listen = "127.0.0.1:0"
        [[integration]]
        id = "avaya-1"
        kind = "avaya-cms"
        acd = 1
        {settings}
        [integration.realtime]
        port = 0
        bind = "127.0.0.1"
        shortest_refresh = "0s"
        {realtime}
        "#
    )
}
