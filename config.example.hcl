# All settings of Hookwheel. A setting that is commented out shows its default.
#
# Sizes are written "512KiB", "1MiB", "2GiB" or as a number of bytes; durations "15s", "5m", "2h", "3d".
# Any value may come from the environment: env("NAME") must be set, env("NAME", "other") falls back to other.
# "hookwheel serve --config FILE" reads it once, at its start; only the files of certificates are read again.

# The id of this node, one of the peers below, or with join one that no other node has. Default without a cluster: "n1".
node = "n1"

# The folder that holds everything this node keeps. Default: "./hookwheel-data".
data = "/var/lib/hookwheel"

# What is logged: "debug", "info", "warn" or "error".
# log_level = "info"

# The keys with which the secrets of endpoints are encrypted before they are replicated and stored: at least 32 characters each, the
# same on all nodes. The first one encrypts, all of them decrypt, so a new one goes to the end on all nodes first, and to the front when
# all have it; docs/operations.md has the steps. Such as [env("HOOKWHEEL_ENCRYPTION_KEY")]; with none, secrets stand in the clear in
# the data folders and in backups.
# encryption_keys = []

# The HTTP server for producers, customers and operators.
api {
  # Where it listens: host:port, or :port for all addresses of the machine.
  # listen = "127.0.0.1:8071"

  # What callers must present as their bearer token: at least 16 characters. Required.
  token = env("HOOKWHEEL_TOKEN")

  # JSON web tokens are taken too if this is set: HS256, HS384 or HS512, signed with these bytes, as Svix servers make them; the
  # subject org_… may do everything, app_… what concerns that application. At least 16 characters. Default: none are taken.
  # jwt_secret = env("HOOKWHEEL_JWT_SECRET")

  # The page that links of app-portal-access lead to; the token is put behind it as #key=… Default: /portal of
  # this server, a page that says that there is no portal.
  # portal_url = "https://webhooks.example.com/portal"

  # The largest request body, 1KiB to 3MiB.
  # max_body = "1MiB"

  # How long a node that is told to stop goes on serving, 0s to 5m. Meanwhile its health check answers 503, so that a load balancer
  # chooses another node, and each answer has its client connect anew. Choose at least the balancer's interval between checks
  # times the checks that must fail, and a second more. The process must be given that long to stop, plus half a minute.
  # drain = "2s"

  # HTTPS instead of HTTP, with PEM files: the certificate, followed by those between it and its CA if there are any, and its key.
  # They are read again when they change. Names of files are relative to the folder that the node is started in. Default: HTTP.
  # tls {
  #   cert = "certs/api.pem"
  #   key  = "certs/api-key.pem"
  # }
}

# The nodes that keep each event together. Without this block the node is alone, and does not listen for others.
cluster {
  # Where this node listens for the others. Default: its address.
  # listen = "127.0.0.1:9071"

  # The host:port at which the other nodes reach this one. Default: that of its peer line below; required with join.
  # address = "127.0.0.1:9071"

  # The nodes that form the cluster, this one included, the same on each of them: id and the address that the others can
  # connect to. They begin only all together. Three nodes go on when one is down, five when two are.
  peer "n1" { address = "127.0.0.1:9071" }
  peer "n2" { address = "127.0.0.1:9072" }
  peer "n3" { address = "127.0.0.1:9073" }

  # Or, instead of peer lines, for a further node: some nodes of a cluster that is there; this one asks them to be let in, which
  # "hookwheel cluster join" does.
  # join = ["127.0.0.1:9071", "127.0.0.1:9072"]

  # Whether this node has a vote. One without keeps all events and answers requests, but never leads, and does not count when a
  # majority is needed.
  # voter = true

  # The secret that only the nodes of the cluster share: random, the same on each node, and at least 32 characters long, or 16
  # with a tls block below. Generate it with "openssl rand -hex 32". Default: the content of cluster.secret in the data folder. A
  # node generates that file when it first starts; copy it to the other nodes.
  secret = env("HOOKWHEEL_SECRET")

  # Mutual TLS between nodes, with PEM files: the CA that has signed the certificates of all nodes, and this node's own, which
  # is for the DNS name that is its id. "hookwheel cert" makes them. They are read again when they change. Required unless all
  # addresses in this block are loopback.
  # tls {
  #   ca   = "certs/ca.pem"
  #   cert = "certs/n1.pem"
  #   key  = "certs/n1-key.pem"
  # }
}

storage {
  # With less free disk space than this, new events are refused while delivery goes on.
  # 0 stands for a tenth of the file system, but at least 256MiB and at most 2GiB.
  # min_free = 0

  # How much all records may take, messages and attempts above all: beyond it the oldest leave before their time, but none that is
  # yet to be delivered. Applications share it; those that hold more than their share lose their messages first. If what is yet to be
  # delivered takes a tenth more, they are refused new events while delivery goes on; if it takes a fourth more, all are. Set it the same on all nodes,
  # and leave the disk 2.5 times as much and 512MiB more, for the Raft log and for what is yet to be compacted. 0: as much as there is room for.
  # max_size = 0

  # How long messages are kept, with all that was recorded of their delivery, 1h to 87600h; what a message says of itself comes first.
  # What is not delivered by then is not delivered any more; it is counted as expired.
  # retention = "720h"
}

# How much of what customers share one of them may have. docs/limits.md lists these and all fixed limits. Set them the same on all nodes.
limits {
  # Applications and event types, in all.
  # applications = 100000
  # event_types  = 5000

  # Endpoints of an application, 1 to 100000. An admin may give an application a limit of its own: maxEndpoints.
  # endpoints = 500

  # Replays of an application that are not finished, 1 to 1000. Beyond 800 of all, only applications that have none may begin one.
  # replays = 50

  # Messages that the portals of an application may have sent by hand in a minute, on each node: resends and examples count as one,
  # replays as 20. Operators are not limited.
  # manual_sends = 300
}

delivery {
  # How long one attempt may take, 1s to 1m.
  # timeout = "15s"

  # Attempts under way at the same time, 1 to 10000: in all, and to any one endpoint.
  # workers      = 512
  # per_endpoint = 64

  # Private networks that may be delivered to, such as "10.0.0.0/8" or "127.0.0.1/32"; all others are blocked. The metadata addresses
  # of clouds, such as 169.254.169.254, stay blocked unless they are listed themselves: "169.254.169.254/32".
  # allow = []

  # Networks that may not be delivered to, not even if they are allowed or on the Internet.
  # deny = []

  # The proxy through which requests go out, for example "http://user:password@proxy.example:3128"; also https://, socks5:// and
  # socks5h://. Names are resolved and judged by this node, and the proxy is told the address; but with socks5h it resolves the names
  # and must itself refuse private addresses. Default: none.
  # proxy = ""

  # What is reached without the proxy: names, each with all below it, addresses and networks. Loopback always is.
  # no_proxy = []

  # After how much time of failure, without any success, an endpoint is disabled; 0s: never. Its events wait until it is enabled again.
  # disable_after = "5d"

  # When an endpoint that keeps failing is parked: it gets one attempt at a time, a probe, and everything else waits.
  breaker {
    # It is parked when at least this share, 0.01 to 1, of at least so many attempts within this time has failed; or when so many have
    # failed in a longer time, and none has succeeded.
    # window       = "1m"
    # min_attempts = 10
    # failure_rate = 0.5

    # How long until the first probe; each further one takes twice as long, up to max_probe.
    # probe     = "5s"
    # max_probe = "5m"
  }

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
