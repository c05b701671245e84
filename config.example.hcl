# All settings of Hookwheel. A setting that is commented out shows its default.
#
# Sizes are written "512KiB", "1MiB", "2GiB" or as a number of bytes; durations "15s", "5m", "2h", "3d".
# Any value may come from the environment: env("NAME") must be set, env("NAME", "other") falls back to other.

# The id of this node, one of the peers below. Default without a cluster: "n1".
node = "n1"

# The folder that holds everything this node keeps. Default: "./hookwheel-data".
data = "/var/lib/hookwheel"

# What is logged: "debug", "info", "warn" or "error".
# log_level = "info"

# The HTTP server for producers, customers and operators.
api {
  # Where it listens: host:port, or :port for all addresses of the machine.
  # listen = "127.0.0.1:8071"

  # What callers must present as their bearer token: at least 16 characters. Required.
  token = env("HOOKWHEEL_TOKEN")

  # The largest request body, 1KiB to 3MiB.
  # max_body = "1MiB"
}

# The nodes that keep each event together. Without this block the node is alone.
cluster {
  # Where this node listens for the others. Default: its own address below.
  # listen = "127.0.0.1:9071"

  # All nodes, this one included, the same on each of them: id and the address that the others can connect to.
  # Three nodes go on when one is down, five when two are.
  peer "n1" { address = "127.0.0.1:9071" }
  peer "n2" { address = "127.0.0.1:9072" }
  peer "n3" { address = "127.0.0.1:9073" }
}

storage {
  # With less free disk space than this, new events are refused while delivery goes on.
  # 0 stands for a tenth of the file system, but at least 256MiB and at most 2GiB.
  # min_free = 0
}

delivery {
  # How long one attempt may take, 1s to 1m.
  # timeout = "15s"

  # Attempts under way at the same time, 1 to 10000: in all, and to any one endpoint.
  # workers      = 256
  # per_endpoint = 64

  # Private networks that may be delivered to, such as "10.0.0.0/8" or "127.0.0.1/32"; all others are blocked.
  # allow = []

  # When a failed attempt is tried again.
  retry {
    # The delay before each further attempt; after the last one the message is given up.
    # schedule = ["5s", "5m", "30m", "2h", "5h", "10h", "10h"]

    # Or, instead of a schedule: the first delay, by what each next one is longer, and how many there are.
    # base        = "60s"
    # factor      = 2
    # max_retries = 10

    # By what share, 0 to 1, a delay is made longer or shorter at random, so that retries do not come all at once.
    # jitter = 0.2
  }
}
