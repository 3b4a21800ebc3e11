"""The first line of the dashboard *Service*: is everything all right?"""

from colours import BAD, GOOD, WARN
from expressions import FEED, INSTANCE, LIVE, feed, or_zero, process
from panels import stat, steps, words

NOT_SCRAPED = "No data: is rtalink running and scraped?"

GOOD_AT_ZERO = steps(GOOD, (0.5, BAD))

# Feeds that never had a record are left out: their silence has no beginning.
LAST_RECORD = f"max by (integration) ({feed('rtalink_feed_last_record_timestamp_seconds')}) > 0"


def lately(selector):
    """How much counters grew in the last 15 minutes."""
    return f"increase({selector}[15m])"


AT_A_GLANCE = [
    stat(
        "Ready",
        "Whether CMS can dial in, and what it sends is kept on disk. With no, `/health/ready` says what is missing: "
        "the start waits for Kafka, or the store cannot be written.",
        f"min({process('rtalink_ready')})",
        "none",
        steps(BAD, (0.5, GOOD)),
        NOT_SCRAPED,
        mappings=[words({0: ("no", BAD), 1: ("yes", GOOD)})],
    ),
    stat(
        "Feeds without data",
        "Feeds that are not connected, silent, or whose link between switch and CMS is down. 0 is what you want to see.",
        f"count(max by (integration) (rtalink_feed_up{FEED})) - (count(max by (integration) ({LIVE})) or on () vector(0))",
        "short",
        GOOD_AT_ZERO,
        NOT_SCRAPED,
        decimals=0,
    ),
    stat(
        "Longest silence",
        "Time since the last valid record, of the feed that has been silent for longest. Yellow: longer than a slow "
        "snapshot. Red: CMS has stopped sending, or never began.",
        f"max(time() - ({LAST_RECORD}))",
        "s",
        steps(GOOD, (15, WARN), (30, BAD)),
        "No record yet",
        decimals=0,
    ),
    stat(
        "Cut snapshots",
        "Snapshots of the last 15 minutes that were cut off: nobody can be logged out by absence from them. "
        "One per reconnection is normal.",
        "sum(" + lately(feed("rtalink_feed_snapshots_total", complete="false")) + ")",
        "short",
        steps(GOOD, (0.5, WARN), (3, BAD)),
        NOT_SCRAPED,
        decimals=0,
    ),
    stat(
        "Invalid records",
        "Records of the last 15 minutes that could not be decoded, or that Kafka will never take. "
        "The row on what was refused says why.",
        or_zero(f"sum({lately(feed('rtalink_dead_letters_total'))})"),
        "short",
        GOOD_AT_ZERO,
        NOT_SCRAPED,
        decimals=0,
    ),
    stat(
        "Latency, p99",
        "99 of 100 events of the last 5 minutes were in Kafka within that time of being read from the feed.",
        f"histogram_quantile(0.99, sum by (le) (rate({feed('rtalink_event_latency_seconds_bucket')}[5m]))) >= 0",
        "s",
        steps(GOOD, (0.5, WARN), (1, BAD)),
        "No events",
    ),
    stat(
        "Waiting for Kafka",
        "For how long the oldest event on disk has been waiting for Kafka. Seconds are normal only while Kafka is away.",
        f"max({feed('rtalink_journal_oldest_seconds')})",
        "s",
        steps(GOOD, (5, WARN), (30, BAD)),
        NOT_SCRAPED,
        decimals=0,
    ),
    stat(
        "Kafka errors",
        "Errors of the last 15 minutes, as librdkafka counts them.",
        or_zero(f"sum({lately(process('rtalink_kafka_errors_total'))})"),
        "short",
        GOOD_AT_ZERO,
        NOT_SCRAPED,
        decimals=0,
    ),
    stat(
        "Disk free",
        "Room left on the disk of the journal. When it is full, only the latest state of each agent is kept.",
        f"min(rtalink_store_disk_free_bytes{INSTANCE} / rtalink_store_disk_size_bytes{INSTANCE})",
        "percentunit",
        steps(BAD, (0.1, WARN), (0.2, GOOD)),
        NOT_SCRAPED,
        decimals=0,
    ),
]

# Short titles have narrow panels.
NARROW = {"Ready", "Cut snapshots", "Kafka errors"}
