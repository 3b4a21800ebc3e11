"""Expressions that several panels share, and the selectors of the variables.

Series with the label `integration` are selected by both variables, those of the process by `$instance` alone.
"""

INSTANCE = '{instance=~"$instance"}'
FEED = '{instance=~"$instance", integration=~"$integration"}'

# An instance that is scraped; what could be nothing yet is 0 where this is there, and absent where it is not.
THERE = f"max(rtalink_build_info{INSTANCE})"

# 1 per feed whose figures are those of now: it speaks, is not silent, and the switch has not lost CMS.
LIVE = (
    f"(rtalink_feed_up{FEED} == 1 unless rtalink_feed_stale{FEED} == 1 unless rtalink_feed_link_down{FEED} == 1)"
)

# What a feed is doing, as a sum of: 1 not connected, 2 silent, 4 link down, 8 paused. Of several instances the best.
FEED_STATE = (
    "min by (integration) ("
    f"1 - rtalink_feed_up{FEED} + 2 * rtalink_feed_stale{FEED} + 4 * rtalink_feed_link_down{FEED}"
    f" + 8 * rtalink_paused{FEED})"
)


def _selector(metric, variables, matchers, labels):
    exact = (f'{name}="{value}"' for name, value in labels.items())
    return metric + "{" + ", ".join((*variables, *matchers, *exact)) + "}"


def feed(metric, *matchers, **labels):
    """The selector of a metric of an integration; labels as keywords are matched exactly."""
    return _selector(metric, ('instance=~"$instance"', 'integration=~"$integration"'), matchers, labels)


def process(metric, *matchers, **labels):
    """The selector of a metric without the label `integration`."""
    return _selector(metric, ('instance=~"$instance"',), matchers, labels)


def by(label, rate):
    """Rates per value of a label, only those above 0; `none` at 0 where there is nothing of any."""
    nothing = f'label_replace(0 * {THERE}, "{label}", "none", "", "")'
    return f"sum by ({label}) ({rate}) > 0 or on () {nothing}"


def or_zero(expression):
    """0 where the series may not exist yet, and nothing where no instance is scraped."""
    return f"{expression} or on () 0 * {THERE}"


def quantile(q, bucket, *labels):
    """A quantile of a histogram over all instances; nothing, rather than NaN, where nothing happened."""
    group = ", ".join(("le", *labels))
    return f"histogram_quantile({q}, sum by ({group}) (rate({bucket}[$__rate_interval]))) >= 0"


def live(metric, label):
    """How many agents of live feeds, by that label."""
    return f"sum by ({label}) ({feed(metric)} and on (instance, integration) {LIVE})"


def live_agents(modes):
    """How many agents of live feeds are in those modes. A feed that is not live has no figure, rather than an old one."""
    agents = feed("rtalink_agents", modes)
    return f"sum({agents} and on (instance, integration) {LIVE})"
