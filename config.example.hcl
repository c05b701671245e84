# All settings of Hookwheel. A setting that is commented out shows its default.
#
# Sizes are written "512KiB", "1MiB", "2GiB" or as a number of bytes; durations "15s", "5m", "2h", "3d".
# Any value may come from the environment: env("NAME") must be set, env("NAME", "other") falls back
# to other. Each setting also has a variable of its own, which takes precedence over this file:
# HOOKWHEEL_API_MAX_BODY is for max_body in the block api; docs/configuration.md has the details.
# "hookwheel serve --config FILE" reads this file when it starts. After SIGHUP or "hookwheel config
# reload", tokens, limits, lists of networks and origins, the log level and the links of the portal
# change; the rest needs a restart. Certificates are reloaded when their files change.
#
# As it is, this file suits three nodes on one machine, for trying it out: they differ in what they
# take from the environment. Write the values themselves for a real node.

# The id of this node: one of the peers below or, with join, one that no other node has.
# Default without a cluster: "n1".
node = env("HOOKWHEEL_NODE", "n1")

# The folder that holds everything this node stores. Default: "./hookwheel-data".
data = env("HOOKWHEEL_DATA", "/var/lib/hookwheel")

# What is logged: "debug", "info", "warn" or "error".
# log_level = "info"

# How it is logged, to standard error: "text" or "json", one object per line.
# log_format = "text"

# The keys with which the secrets of endpoints are encrypted before they are replicated and stored:
# at least 32 characters each, the same on all nodes. The first one encrypts, all of them decrypt. So
# add a new key at the end on all nodes first, then move it to the front; docs/security.md has the
# steps. For example [env("HOOKWHEEL_ENCRYPTION_KEY")]. Without any, secrets are stored unencrypted in
# data folders and backups.
# encryption_keys = []

# The HTTP server for producers, customers and operators.
api {
  # Where it listens: host:port, or :port for all addresses of the machine.
  # Default: "127.0.0.1:8071".
  listen = env("HOOKWHEEL_LISTEN", "127.0.0.1:8081")

  # What callers must present as their bearer token: at least 16 characters. Required.
  token = env("HOOKWHEEL_TOKEN")

  # If set, JSON Web Tokens are also accepted: HS256, HS384 or HS512, signed with this secret of at
  # least 16 characters, as Svix servers create them. The subject org_... may do everything, app_...
  # whatever concerns that application. Default: none are accepted.
  # jwt_secret = env("HOOKWHEEL_JWT_SECRET")

  # The page that links of app-portal-access lead to; the token is appended as #key=... Default:
  # /portal of this server. If customers reach the portal through a proxy or at another name than
  # callers do the API, set it.
  # portal_url = "https://webhooks.example.com/portal"

  # The origins whose pages may use the API in a browser, such as "https://app.example.com", or only
  # "*" for all. Pages send a token themselves; cookies are never accepted. Not needed for the portal
  # of this server. Default: none.
  # cors = []

  # Who may see /metrics: "open" is everybody who can reach this address; "token" needs a token of the
  # role admin or reader; an address such as "127.0.0.1:9090" serves /metrics and the reference page
  # /docs there, without a token, and only there.
  # metrics = "open"

  # Whether each request is logged: its method, the pattern of its path, status, size and time, the ID
  # of its key and its request ID; no token, no body and no name.
  # access_log = false

  # Whether /debug/pprof serves profiles of this node, to tokens of the role admin.
  # pprof = false

  # The largest request body, 1KiB to 3MiB.
  # max_body = "1MiB"

  # The largest batch of messages, 1 KiB to 16 MiB; each of its messages may be as large as max_body.
  # max_batch = "16MiB"

  # How many streams of events (/api/v1/tail) may be open on this node, 8 to 10000. Three quarters of
  # them are for applications, and each application may have a 64th of all, but at least 4.
  # tails = 1000

  # How long a node that is told to stop keeps serving, 0s to 5m. Meanwhile its health check returns
  # 503, so that a load balancer chooses another node, and responses close their connections. Use at
  # least the balancer's interval between checks times the number of checks that must fail, plus a
  # second. Give the process that long to stop, plus half a minute.
  # drain = "2s"

  # HTTPS instead of HTTP, with PEM files: the certificate, followed by any intermediate ones, and
  # its key. They are reloaded when they change. File names are relative to the folder in which the
  # node is started. Default: HTTP.
  # tls {
  #   cert = "certs/api.pem"
  #   key  = "certs/api-key.pem"
  # }
}

# The portal, for customers.
portal {
  # An address of its own, for everybody to reach: it serves only the portal and what tokens of
  # applications may do, and refuses all other tokens. It has the TLS settings of the API. Default:
  # none; the portal is served at the address of the API.
  # listen = ":8443"

  # The origins whose pages may show the portal in a frame, such as "https://app.example.com", or only
  # "*" for all. Default: none but the portal's own.
  # frame_ancestors = []

  # A page of yours to which the portal leads customers whose link has expired or was revoked. It
  # should sign them in and redirect them to a new link; "next" in its query says where they were, and
  # "app" whose application it was, if that is known. Default: the portal only says that the link has
  # ended.
  # refresh_url = "https://app.example.com/webhooks"
}

# The nodes that replicate each event. Without this block the node runs alone and does not listen for
# others.
cluster {
  # Where this node listens for the others. Default: its address.
  # listen = "127.0.0.1:9081"

  # The host:port at which the other nodes reach this one. Default: that of its peer block; required
  # with join.
  # address = "127.0.0.1:9081"

  # The nodes that form the cluster, including this one, the same on each of them: an id, and an
  # address that the others can connect to. The cluster forms only once all of them are running.
  # Three nodes survive the failure of one, five the failure of two.
  peer "n1" { address = "127.0.0.1:9081" }
  peer "n2" { address = "127.0.0.1:9082" }
  peer "n3" { address = "127.0.0.1:9083" }

  # For an additional node, instead of peer blocks: some nodes of the existing cluster, which it asks
  # to be admitted. "hookwheel cluster join" admits it.
  # join = ["127.0.0.1:9081", "127.0.0.1:9082"]

  # Whether this node has a vote. A node without one stores all events and serves requests, but never
  # leads, and does not count towards a majority.
  # voter = true

  # The secret that the nodes of the cluster share: random, the same on each node, at least 32
  # characters, or 16 with a tls block below. Generate it with "openssl rand -hex 32". Default: the
  # content of cluster.secret in the data folder, which a node generates when it first starts; copy
  # that file to the other nodes.
  secret = env("HOOKWHEEL_SECRET")

  # Mutual TLS between nodes, with PEM files: the CA that signed the certificates of all nodes, and
  # this node's own certificate, whose DNS name is the node's id. "hookwheel cert" creates them. They
  # are reloaded when they change. Required unless all addresses in this block are loopback.
  # tls {
  #   ca   = "certs/ca.pem"
  #   cert = "certs/n1.pem"
  #   key  = "certs/n1-key.pem"
  # }
}

storage {
  # With less free disk space than this, new events are refused while deliveries continue. With less
  # than half of it, or less than the store needs to compact (at most 160MiB), deliveries stop, too.
  # 0 means a tenth of the file system, but at least 256MiB and at most 2GiB.
  # min_free = 0

  # Maximum size of all records, mostly messages and attempts: beyond it, the oldest messages are
  # deleted early, but none that is yet to be delivered. Applications share it; those that use more
  # than their share lose their messages first. If what is yet to be delivered exceeds it by a tenth,
  # they are refused new events while deliveries continue; if by a fourth, all applications are. Use
  # the same value on all nodes, and provide 2.5 times as much disk space plus 512MiB, for the Raft
  # log and for data that is yet to be compacted. 0: no limit but the disk.
  # max_size = 0

  # Maximum size of the records of all endpoints, which each node also has in memory, about twice. An
  # application may have a sixteenth of it, or of max_size if that is less. Once all take half, those
  # with more than an equal part of an eighth get no more. Use the same value on all nodes. 0: no limit
  # but max_size.
  # max_endpoints = "256MiB"

  # How long messages are stored, with everything recorded about their delivery, 1h to 10y. A
  # message's own setting takes precedence. What has not been delivered by then expires; it is counted
  # as expired.
  # retention = "30d"
}

# How much of what customers share each of them may use. docs/limits.md lists these and all fixed
# limits. Use the same values on all nodes.
limits {
  # Applications and event types, in total.
  # applications = 100000
  # event_types  = 5000

  # Endpoints per application, 1 to 100000. An admin may set a different limit for an application:
  # maxEndpoints.
  # endpoints = 500

  # Unfinished replays per application, 1 to 256. Once 800 exist in total, only applications that have
  # none may start one.
  # replays = 50

  # Messages that the portals of an application may send manually per minute, on each node: a resend
  # or an example counts as 1, a replay as 20. Operators are not limited.
  # manual_sends = 300

  # Requests per second that each API key may make on each node; as many may come at once. The token
  # above is not limited. 0: no limit.
  # key_requests = 0

  # Requests per second that the tokens of an application may make together on each node; a change
  # counts as 5. As many may come at once, and further ones wait, for up to 10 s. 0: no limit.
  # portal_requests = 50
}

delivery {
  # Timeout of one attempt, 1s to 1m.
  # timeout = "15s"

  # Maximum number of attempts in flight, 1 to 10000: in total, and to any one endpoint.
  # workers      = 512
  # per_endpoint = 64

  # Private networks to which deliveries are allowed, such as "10.0.0.0/8" or "127.0.0.1/32"; all
  # others are blocked. Metadata addresses of clouds, such as 169.254.169.254, remain blocked unless
  # they are listed themselves: "169.254.169.254/32".
  # allow = []

  # Networks to which deliveries are never allowed, even if listed above or public.
  # deny = []

  # The proxy for all deliveries, for example "http://user:password@proxy.example:3128"; https://,
  # socks5:// and socks5h:// are possible, too. This node resolves names, checks the address and passes
  # it to the proxy; with socks5h the proxy resolves names and must itself refuse private addresses.
  # Default: none.
  # proxy = ""

  # What is reached without the proxy: names, including all subdomains, addresses and networks.
  # Loopback always is.
  # no_proxy = []

  # The public addresses and networks that deliveries come from, such as "203.0.113.7" or
  # "2001:db8:1::/48". They change nothing here but are shown to customers, for the allow lists of
  # their firewalls: list those of all nodes, or of the proxy or NAT gateway. Default: none are shown.
  # source_addresses = []

  # An endpoint that has failed for this long, without any success, is disabled; 0s: never. Its events
  # wait until it is enabled again.
  # disable_after = "5d"

  # When an endpoint that keeps failing is parked: it gets one attempt at a time, a probe, while
  # everything else waits.
  breaker {
    # It is parked when at least this share, 0.01 to 1, of at least so many attempts within this
    # window failed; or when so many failed over a longer time and none succeeded.
    # window       = "1m"
    # min_attempts = 10
    # failure_rate = 0.5

    # Delay before the first probe. It doubles for each further one, up to max_probe.
    # probe     = "5s"
    # max_probe = "5m"
  }

  # When a failed attempt is retried.
  retry {
    # The delay before each retry. After the last one the message is given up.
    # schedule = ["5s", "5m", "30m", "2h", "5h", "10h", "10h"]

    # Or, instead of a schedule: initial delay, growth factor and number of retries.
    # base        = "60s"
    # factor      = 2
    # max_retries = 10

    # Share, 0 to 1, by which a delay is randomly lengthened or shortened, so that retries spread out.
    # jitter = 0.2
  }
}

# Traces of messages, which are sent to a collector of OpenTelemetry. docs/monitoring.md has what they
# show.
tracing {
  # The collector: the URL at which it takes OTLP over HTTP, with or without /v1/traces, such as
  # "http://localhost:4318" or env("OTEL_EXPORTER_OTLP_ENDPOINT"). Default: none; nothing is traced.
  # endpoint = ""

  # Headers of the requests to it, in the form of OTEL_EXPORTER_OTLP_HEADERS: separated by commas, with
  # values encoded as in URLs, such as "authorization=Bearer%20abc,x-tenant=1". Default: none.
  # headers = ""

  # The share, 0 to 1, of messages that are traced if the producer has sent no traceparent. If it
  # has, its flag decides.
  # sample = 1

  # The receivers that get traceparent and tracestate, so that their spans continue the trace: names
  # in the URLs of endpoints, such as "internal.example", which include subdomains, addresses, or only
  # "*" for all. Headers that an endpoint has of its own take precedence. Default: none.
  # propagate_to = []
}

# Backups that the leader makes; docs/backup.md explains them. Use the same values on all nodes.
backup {
  # Where they are stored: "s3://bucket/prefix", or "file:///folder" for a folder that all nodes share.
  # Default: none are made.
  # to = "s3://acme-backups/hookwheel"

  # How often, 1m to 30d.
  # every = "1d"

  # The newest ones are kept, 1 to 10000 of them, and those that are younger than keep_for. Only what
  # this cluster has made by its schedule is removed.
  # keep     = 7
  # keep_for = "0s"

  # The key that backups are encrypted with: at least 32 characters, for example from
  # "openssl rand -hex 32". Without it nobody can restore them, so keep a copy elsewhere. Default:
  # they are not encrypted.
  # encryption_key = env("BACKUP_KEY")

  # How the bucket is reached.
  s3 {
    # The URL of the server, and the region of the bucket. Default: AWS_ENDPOINT_URL_S3,
    # AWS_ENDPOINT_URL or that of AWS; AWS_REGION, AWS_DEFAULT_REGION or "us-east-1".
    # endpoint = "https://s3.example.com"
    # region   = "eu-central-1"

    # Whether the bucket is in the path of a URL, as most servers accept, or part of the name of the
    # host.
    # path_style = true

    # A PEM file with certificates of authorities to trust besides those of the system.
    # ca = "certs/s3-ca.pem"

    # Credentials. Default: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
    # access_key_id     = env("S3_ACCESS_KEY_ID")
    # secret_access_key = env("S3_SECRET_ACCESS_KEY")
    # session_token     = env("S3_SESSION_TOKEN")
  }
}
