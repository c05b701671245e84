package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/config/certs"
	"hookwheel/webhook"
)

const configTestToken = "token-of-the-tests"

func TestConfigKeepsDefaults(t *testing.T) {
	for name, test := range map[string]struct {
		source string
		change func(*Config)
	}{
		"only a token":   {"", func(*Config) {}},
		"empty blocks":   {"storage {}\ndelivery {\n retry {}\n}", func(*Config) {}},
		"one of several": {"delivery {\n timeout = \"20s\"\n}", func(c *Config) { c.Delivery.Timeout = 20 * time.Second }},
		"node alone": {`node = "a-1"`, func(c *Config) {
			c.Node, c.Cluster.Peers[0].ID = "a-1", "a-1"
		}},
		"log level": {`log_level = "warn"`, func(c *Config) { c.LogLevel = slog.LevelWarn }},
		"size":      {"storage {\n min_free = \"2GiB\"\n}", func(c *Config) { c.Storage.MinFree = 2 << 30 }},
		"endpoints": {"storage {\n max_endpoints = \"1GiB\"\n}", func(c *Config) { c.Storage.MaxEndpoints = 1 << 30 }},
		"max size":  {"storage {\n max_size = \"100GiB\"\n}", func(c *Config) { c.Storage.MaxSize = 100 << 30 }},
		"listen beside the own address": {
			"node = \"b\"\ncluster {\n listen = \":9\"\n peer \"b\" { address = \"hook-1.internal:9071\" }\n" + tlsLines + "}",
			func(c *Config) {
				c.Node = "b"
				c.Cluster = Cluster{Listen: ":9", Address: "hook-1.internal:9071", Peers: []Peer{{"b", "hook-1.internal:9071"}},
					Voter: true, TLS: tlsFilesOfLines}
			},
		},
		"address beside the own line": {
			"node = \"b\"\ncluster {\n address = \"127.1.2.3:4\"\n peer \"b\" { address = \"LocalHost:5\" }\n}",
			func(c *Config) {
				c.Node = "b"
				c.Cluster = Cluster{Listen: "127.1.2.3:4", Address: "127.1.2.3:4", Peers: []Peer{{"b", "LocalHost:5"}}, Voter: true}
			},
		},
		"join": {
			"node = \"x\"\ncluster {\n join = [\"10.0.0.1:9\", \"h:9\"]\n address = \"10.0.0.2:9\"\n listen = \":9\"\n voter = false\n" +
				" secret = \"0123456789abcdef\"\n" + tlsLines + "}",
			func(c *Config) {
				c.Node = "x"
				c.Cluster = Cluster{Listen: ":9", Address: "10.0.0.2:9", Join: []string{"10.0.0.1:9", "h:9"},
					Secret: "0123456789abcdef", TLS: tlsFilesOfLines}
			},
		},
		"voter": {
			"node = \"a\"\ncluster {\n voter = env(\"HOOKWHEEL_TEST_UNSET\", \"false\")\n peer \"a\" { address = \"[::1]:1\" }\n" +
				" peer \"b\" { address = \"[::ffff:127.0.0.1]:1\" }\n}",
			func(c *Config) {
				c.Node = "a"
				c.Cluster = Cluster{Listen: "[::1]:1", Address: "[::1]:1", Peers: []Peer{{"a", "[::1]:1"}, {"b", "[::ffff:127.0.0.1]:1"}}}
			},
		},
		"listen is the own address": {
			"node = \"b\"\n" + peerBlocks("a", "[::1]:1", "b", "[::1]:2"),
			func(c *Config) {
				c.Node = "b"
				c.Cluster = Cluster{Listen: "[::1]:2", Address: "[::1]:2", Peers: []Peer{{"a", "[::1]:1"}, {"b", "[::1]:2"}}, Voter: true}
			},
		},
		"few workers": {"delivery {\n workers = 8\n}", func(c *Config) {
			c.Delivery.Workers, c.Delivery.PerEndpoint = 8, 8
		}},
		"allow": {"delivery {\n allow = [\"10.0.0.0/8\", \"fd00::/8\"]\n}", func(c *Config) {
			c.Delivery.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
		}},
		"IPv4 as IPv6": {"delivery {\n allow = [\"::ffff:127.0.0.0/104\"]\n deny = [\"::ffff:127.6.0.0/112\", \"::ffff:0:0/96\"]\n}", func(c *Config) {
			c.Delivery.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			c.Delivery.Deny = []netip.Prefix{netip.MustParsePrefix("127.6.0.0/16"), netip.MustParsePrefix("0.0.0.0/0")}
		}},
		"egress": {"delivery {\n deny = [\"8.8.8.0/24\"]\n proxy = \"socks5h://me:pass@[::1]:1080\"\n" +
			" no_proxy = [\"example.com\", \".example.org:8080\", \"10.0.0.0/8\", \"::1\"]\n}", func(c *Config) {
			c.Delivery.Deny = []netip.Prefix{netip.MustParsePrefix("8.8.8.0/24")}
			c.Delivery.Proxy = &url.URL{Scheme: "socks5h", User: url.UserPassword("me", "pass"), Host: "[::1]:1080"}
			c.Delivery.NoProxy = []string{"example.com", ".example.org:8080", "10.0.0.0/8", "::1"}
		}},
		"source addresses": {"delivery {\n source_addresses = [\"203.0.113.7\", \"::ffff:203.0.113.8\", \"2001:db8:1::/48\"]\n}", func(c *Config) {
			c.Delivery.SourceAddresses = []netip.Prefix{netip.MustParsePrefix("203.0.113.7/32"), netip.MustParsePrefix("203.0.113.8/32"), netip.MustParsePrefix("2001:db8:1::/48")}
		}},
		"no proxy": {"delivery {\n proxy = \"\"\n}", func(*Config) {}},
		"schedule keeps jitter": {retryBlock(`schedule = ["1s", "1d12h"]`), func(c *Config) {
			c.Delivery.Retry.Delays = []time.Duration{time.Second, 36 * time.Hour}
		}},
		"no retries": {retryBlock(`schedule = []`), func(c *Config) { c.Delivery.Retry.Delays = nil }},
		"exponential": {retryBlock(`base = "1s"`, `factor = 1.5`, `max_retries = 3`, `jitter = 0.5`), func(c *Config) {
			c.Delivery.Retry, _ = webhook.ExponentialRetryPolicy(time.Second, 1.5, 3)
			c.Delivery.Retry.Jitter = 0.5
		}},
	} {
		t.Run(name, func(t *testing.T) {
			want := Default()
			want.API.Token = configTestToken
			test.change(&want)
			checkConfig(t, mustParseConfig(t, apiBlock+test.source), want)
		})
	}
}

func TestConfigMetrics(t *testing.T) {
	for line, want := range map[string]Metrics{`"open"`: {}, `"token"`: {Token: true}, `":9090"`: {Listen: ":9090"}} {
		if got := mustParseConfig(t, apiWith("metrics = "+line)).API.Metrics; got != want {
			t.Errorf("%s: %+v, want %+v", line, got, want)
		}
	}
}

func TestConfigOrigins(t *testing.T) {
	for line, want := range map[string][]string{
		`["https://app.example.com", "http://localhost:3000", "http://[::1]:8080", "http://127.0.0.1"]`: {
			"https://app.example.com", "http://localhost:3000", "http://[::1]:8080", "http://127.0.0.1"},
		`["*"]`: {"*"},
		`[]`:    nil,
	} {
		if got := mustParseConfig(t, apiWith("cors = "+line)).API.CORS; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, test := range []struct {
		source string   // a good api block is added if it has none
		want   []string // one for each line of the error: "line:column", then a phrase
	}{
		{"# no api", []string{"1:1 api.token is missing: for example"}},
		{"\napi {\n}", []string{"2:1 api.token is missing"}},
		{"api {\n token = \"short\"\n}", []string{"2:10 api.token must have at least 16 characters"}},
		{"api {\n token = \"0123456789abcdef\\n\"\n}", []string{"2:10 visible ASCII"}},
		{"api {\n token = null\n}", []string{"2:10 api.token must be text"}},
		{"api {\n token = [\"a\"]\n}", []string{"2:10 api.token must be text"}},
		{"api {\n tokn = 1\n}", []string{"1:1 missing", `2:2 Did you mean "token"? Allowed here: listen, token, jwt_secret, portal_url, cors, metrics, access_log, max_body, max_batch, tails, drain, pprof, tls.`}},
		{"api \"x\" {\n}", []string{"1:1 api.token", "1:5 No labels are expected"}},
		{apiBlock + "api {\n}", []string{"5:1 api is a duplicate block; the first one is in line 1"}},
		{strings.Replace(apiBlock, "8071", "x", 1), []string{"3:11 api.listen must be host:port or :port"}},
		{strings.Replace(apiBlock, "}", " max_batch = \"17MiB\"\n}", 1), []string{`4:14 must be a size from "1 KiB" to "16 MiB"`}},
		{strings.Replace(apiBlock, "}", " max_body = \"4MiB\"\n}", 1), []string{`4:13 must be a size from "1 KiB" to "3 MiB"`}},
		{apiWith(`drain = "6m"`), []string{`4:10 api.drain must be a duration from "0s" to "5m"`}},
		{apiWith(`jwt_secret = "short"`), []string{"4:15 api.jwt_secret must have at least 16 characters"}},
		{apiWith(`portal_url = "/portal"`), []string{"4:15 api.portal_url must be the URL of a page"}},
		{apiWith(`portal_url = "https://x/#y"`), []string{"4:15 api.portal_url must be the URL of a page"}},
		{apiWith(`metrics = "closed"`), []string{`4:12 api.metrics must be "open", "token", or an address of their own`}},
		{apiBlock + "portal {\n listen = \"nowhere\"\n}", []string{"6:11 portal.listen must be host:port or :port"}},
		{apiWith(`cors = "*"`), []string{`4:9 api.cors must be a list such as`}},
		{apiWith(`cors = ["*", "https://a.example"]`), []string{`4:9 api.cors "*" allows all origins, so it must be the only one`}},
		{apiWith("cors = [\"https://a.example\",\n \"https://A.example\"]"), []string{`5:2 api.cors each must be an origin such as "https://app.example.com"`}},
		{apiWith(`cors = ["https://a.example/"]`), []string{"4:10 each must be an origin"}},
		{apiWith(`cors = ["https://*.example"]`), []string{"4:10 each must be an origin"}},
		{apiWith(`cors = ["a.example"]`), []string{"4:10 each must be an origin"}},
		{apiWith(`cors = ["null"]`), []string{"4:10 each must be an origin"}},
		{apiWith(`cors = [""]`), []string{"4:10 each must be an origin"}},
		{apiWith(`cors = ["https://me:secret@a.example"]`), []string{"4:10 each must be an origin"}},
		{apiWith(`cors = ["https://a.example:"]`), []string{"4:10 each must be an origin"}},
		{apiWith(`cors = ["https://a.example:0443"]`), []string{"4:10 each must be an origin"}},
		{apiWith(`cors = ["https://a.example:443"]`), []string{"4:10 api.cors must not name the default port"}},
		{apiWith(`cors = ["http://a.example:80"]`), []string{"4:10 api.cors must not name the default port"}},
		{apiWith(`cors = ["http://münchen.example"]`), []string{"4:10 each must be an origin"}},
		{apiWith(`drain = 2`), []string{"4:10 api.drain must be a duration"}},
		{apiWith("tls {\n }"), []string{"4:2 api.tls.cert is missing: for example cert", "4:2 api.tls.key is missing"}},
		{apiWith("tls {\n ca = \"x\"\n cert = \"\"\n key = \"k\"\n}"), []string{"5:2 Allowed here: cert, key.", "6:9 api.tls.cert must name a file"}},

		{"node = \"a\"\nnode = \"b\"", []string{"2:1 Attribute redefined"}},
		{"node = \"a b\"", []string{"1:8 node must have 1 to 64 characters of a-z, 0-9 and -"}},
		{"node = ", []string{"1:8 Invalid expression"}},
		{"data = \"\"", []string{"1:8 data must name a folder"}},
		{"data = file(\"x\")", []string{`1:8 data must be text in double quotes, a number or env("NAME")`}},
		{"log_level = \"loud\"", []string{`1:13 log_level must be "debug", "info", "warn" or "error"`}},
		{"log_format = \"xml\"", []string{`1:14 log_format must be "text" or "json"`}},
		{"log_level = debug", []string{`1:13 log_level must be text in double quotes`}},
		{"retry {\n}", []string{"1:1 Allowed here: node, data, log_level, log_format, encryption_keys, api, portal, cluster, storage, delivery, limits, tracing, backup."}},
		{"storage { min_free = \"1XB\" }", []string{`1:22 storage.min_free must be a size from "0 B" to "1 TiB"`}},
		{"storage { max_size = \"100XB\" }", []string{`1:22 storage.max_size must be a size from "0 B" to "1 PiB"`}},
		{"storage { min_free = -1 }", []string{"1:22 or a number of bytes"}},

		{"cluster {\n}", []string{"1:1 cluster.peer blocks are missing"}},
		{"cluster {\n voter = false\n}", []string{"1:1 cluster.peer blocks are missing, one for each node, or join"}},
		{peerBlocks("a", "[::1]:1"), []string{"1:1 node is missing: which of the peers"}},
		{"node = \"c\"\n" + peerBlocks("a", "[::1]:1", "b", "[::1]:2"), []string{`1:8 node must be one of the peers: "a", "b"`}},
		{"node = \"a\"\n" + peerBlocks("a", "[::1]:1", "a", "[::1]:1"),
			[]string{"4:7 peer has the same id as another peer", "4:23 peer.address is the same as another peer's"}},
		{"node = \"a\"\n" + peerBlocks("a", ":1", "B", "[::1]:1", "c", "0.0.0.0:1"),
			[]string{"3:23 peer.address must be a host:port", "4:7 peer must have 1 to 64", "5:23 peer.address must be"}},
		{"node = \"a\"\n" + peerBlocks("a", "h:0", "b", "h:65536", "c", "http://h:1"), []string{"3:23 must", "4:23 must", "5:23 must"}},
		{"node = \"a\"\ncluster {\n peer \"a\" {}\n peer {}\n}", []string{"3:2 peer.address is missing", "4:7 Missing id"}},
		{"node = \"a\"\ncluster {\n voter = 1\n secret = \"tooshort\"\n address = \":1\"\n peer \"a\" { address = \"[::1]:1\" }\n}",
			[]string{"3:10 cluster.voter must be true or false", "4:11 cluster.secret must have at least 32 characters (16 with a tls block)", "5:12 cluster.address must be"}},
		{"node = \"a\"\ncluster {\n voter = false\n peer \"a\" { address = \"[::1]:1\" }\n}",
			[]string{"3:10 cluster.voter can't be false on the only node"}},
		{"node = \"a\"\ncluster {\n join = [\"[::1]:1\"]\n peer \"a\" { address = \"[::1]:1\" }\n}",
			[]string{"3:2 cluster.join can't be combined with peer blocks"}},
		{"cluster {\n join = [\"[::1]:1\"]\n}", []string{"1:1 node is missing: the id", "1:1 cluster.address is missing: with join"}},
		{"node = \"a\"\ncluster {\n join = []\n address = \"[::1]:1\"\n}", []string{"3:9 cluster.join must name at least one"}},
		{"node = \"a\"\ncluster {\n join = [\"[::1]:1\", \":2\"]\n address = \"[::1]:1\"\n}", []string{"3:21 cluster.join must be a host:port"}},

		{"node = \"a\"\n" + peerBlocks("a", "h:1"), []string{"2:1 cluster.tls is missing: nodes that are not all on one machine"}},
		{"node = \"a\"\n" + peerBlocks("a", "[::1]:1", "b", "10.0.0.1:1"), []string{"2:1 hookwheel cert node a b --ca certs --out certs"}},
		{"node = \"a\"\ncluster {\n listen = \":9\"\n peer \"a\" { address = \"[::1]:1\" }\n}", []string{"2:1 cluster.tls is missing"}},
		{"node = \"a\"\ncluster {\n address = \"h:9\"\n listen = \"[::1]:9\"\n peer \"a\" { address = \"[::1]:1\" }\n}", []string{"2:1 cluster.tls is missing"}},
		{"node = \"x\"\ncluster {\n join = [\"h:1\"]\n address = \"[::1]:1\"\n}", []string{`2:1 cert = "certs/x.pem"`}},
		{"node = \"a\"\ncluster {\n tls {\n }\n peer \"a\" { address = \"h:1\" }\n}",
			[]string{"3:2 cluster.tls.ca is missing: for example ca", "3:2 cluster.tls.cert is missing", "3:2 cluster.tls.key is missing"}},
		{"node = \"a\"\ncluster {\n tls {\n  ca = \"\"\n  crt = 1\n  key = null\n }\n peer \"a\" { address = \"h:1\" }\n}",
			[]string{"3:2 cluster.tls.cert is missing", "4:8 cluster.tls.ca must name a file", `5:3 Allowed here: ca, cert, key.`, "6:9 cluster.tls.key must be text"}},

		{"delivery {\n timeout = \"2m\"\n workers = 0\n per_endpoint = 1.5\n}",
			[]string{`2:12 a duration from "1s" to "1m"`, "3:12 a whole number from 1 to 10000", "4:17 from 1 to 512"}},
		{"delivery {\n workers = 8\n per_endpoint = 9\n}", []string{"3:17 delivery.per_endpoint must be a whole number from 1 to 8"}},
		{"delivery {\n timeout = 15\n}", []string{"2:12 delivery.timeout must be a duration"}},
		{"delivery {\n allow = [\"10.0.0.0/8\",\n  \"10.1.2.3/8\", \"10.1.2.3\"]\n}",
			[]string{"3:3 delivery.allow must be a network", `3:17 or "10.1.2.3/32" for one address`}},
		{"delivery {\n deny = [\"8.8.8.8\"]\n proxy = \"ftp://proxy:1\"\n no_proxy = [\"a b\", \"*\", \"\"]\n}",
			[]string{"2:10 delivery.deny must be a network", "3:10 delivery.proxy must be the URL of a proxy", "4:14 delivery.no_proxy each must be a name", "4:21", "4:26"}},
		{"delivery {\n source_addresses = [\"example.com\", \"fe80::1%eth0\", \"203.0.113.7/24\", \"\"]\n}",
			[]string{"2:22 delivery.source_addresses must be an address or a network", "2:37", "2:53", "2:71"}},
		{"delivery {\n proxy = \"proxy.example:3128\"\n}", []string{"2:10 must be the URL of a proxy"}},
		{"delivery {\n proxy = \"http://proxy.example/path?x\"\n}", []string{"2:10 must be the URL of a proxy"}},
		{"delivery {\n allow = \"10.0.0.0/8\"\n}", []string{"2:10 delivery.allow must be a list"}},

		{retryBlock(`schedule = ["5s", "x", "400d"]`), []string{"3:21 retry.schedule must be a duration", "3:26 retry.schedule"}},
		{retryBlock(`schedule = ["5s"]`, `base = "5s"`, `factor = 2`), []string{"4:3 retry.base can't be combined", "5:3 retry.factor can't"}},
		{retryBlock(`factor = 2`), []string{"2:2 retry.base is missing"}},
		{retryBlock(`base = "1s"`, `factor = 0.5`, `max_retries = -1`, `jitter = "NaN"`),
			[]string{"4:12 a number from 1 to 10", "5:17 a whole number", "6:12 retry.jitter must be a number from 0 to 1"}},
		{tracingBlock(`sample = 0.5`), []string{"1:1 tracing.endpoint is missing: for example"}},
		{tracingBlock(`endpoint = "localhost:4318"`), []string{"2:13 tracing.endpoint must be the URL of a collector"}},
		{tracingBlock(`endpoint = "grpc://localhost:4317"`), []string{"2:13 tracing.endpoint must be the URL of a collector"}},
		{tracingBlock(`endpoint = "http://a:b@c:4318"`), []string{"2:13 without a user or a query"}},
		{tracingBlock(`endpoint = "http://c:4318?token=a"`), []string{"2:13 without a user or a query"}},
		{tracingBlock(`endpoint = "http://c"`, `headers = "a"`), []string{"3:12 tracing.headers must be a list of name=value"}},
		{tracingBlock(`endpoint = "http://c"`, `headers = "a=b%0d%0ac"`), []string{"3:12 tracing.headers must be a list of name=value"}},
		{tracingBlock(`endpoint = "http://c"`, `headers = "a=%zz"`), []string{"3:12 tracing.headers must be a list of name=value"}},
		{tracingBlock(`endpoint = "http://c"`, `headers = "content-type=a"`), []string{"3:12 tracing.headers must not contain Content-Type"}},
		{tracingBlock(`endpoint = "http://c"`, `sample = 1.1`), []string{"3:11 tracing.sample must be a number from 0 to 1"}},
		{tracingBlock(`endpoint = "http://c"`, `propagate_to = ["*", "a"]`), []string{`3:17 tracing.propagate_to "*" includes all receivers`}},
		{tracingBlock(`endpoint = "http://c"`, `propagate_to = ["https://a.example/"]`), []string{"3:18 tracing.propagate_to each must be a name"}},
		{"delivery {\n retry { base = \"1s\" factor = 2 }\n}", []string{"2:22 Invalid single-argument block definition"}},
	} {
		source := test.source
		if !strings.Contains(source, "api") {
			source += "\n" + apiBlock
		}
		_, err := parseConfig("test.hcl", []byte(source))
		checkErrorLines(t, source, err, test.want)
	}
}

const apiBlock = "api {\n token = \"" + configTestToken + "\"\n listen = \"127.0.0.1:8071\"\n}\n"

// apiWith is apiBlock with more in it, from line 4 on.
func apiWith(more string) string { return strings.TrimSuffix(apiBlock, "}\n") + " " + more + "\n}\n" }

const tlsLines = " tls {\n ca = \"ca.pem\"\n cert = \"c.pem\"\n key = \"k.pem\"\n }\n"

var tlsFilesOfLines = certs.Files{CA: "ca.pem", Cert: "c.pem", Key: "k.pem"}

// peerBlocks is a cluster block of pairs of id and address.
func peerBlocks(pairs ...string) string {
	text := "cluster {\n"
	for pair := range slices.Chunk(pairs, 2) {
		text += fmt.Sprintf(" peer %q { address = %q }\n", pair[0], pair[1])
	}
	return text + "}\n"
}

func tracingBlock(lines ...string) string { return "tracing {\n " + strings.Join(lines, "\n ") + "\n}" }

func retryBlock(lines ...string) string {
	return "delivery {\n retry {\n  " + strings.Join(lines, "\n  ") + "\n }\n}\n"
}

func checkErrorLines(t *testing.T, source string, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s\nwas accepted", source)
		return
	}
	lines := strings.Split(strings.ReplaceAll(err.Error(), "\n ", " "), "\n") // an indented one belongs to the one before
	good := len(lines) == len(want)
	for i := 0; good && i < len(lines); i++ {
		at, phrase, _ := strings.Cut(want[i], " ")
		good = strings.HasPrefix(lines[i], "test.hcl:"+at+": ") && strings.Contains(lines[i], phrase)
	}
	if !good {
		t.Errorf("%s\ngave\n%v\nwanted\n%s", source, err, strings.Join(want, "\n"))
	}
}

func TestConfigEnv(t *testing.T) {
	t.Setenv("HOOKWHEEL_TEST_TOKEN", configTestToken)
	t.Setenv("HOOKWHEEL_TEST_WORKERS", "12")
	config := mustParseConfig(t, `
		data = "/data/${env("HOOKWHEEL_TEST_UNSET", "else")}"
		api { token = env("HOOKWHEEL_TEST_TOKEN", "not used") }
		delivery { workers = env("HOOKWHEEL_TEST_WORKERS") }`)
	if config.API.Token != configTestToken || config.Delivery.Workers != 12 || config.Data != "/data/else" {
		t.Errorf("got %+v", config)
	}

	source := "api {\n token = env(\"HOOKWHEEL_TEST_UNSET\")\n}"
	_, err := parseConfig("test.hcl", []byte(source))
	checkErrorLines(t, source, err, []string{"2:10 the environment variable HOOKWHEEL_TEST_UNSET is not set"})

	source = "api {\n token = env(\"A\", \"B\", \"C\")\n}"
	_, err = parseConfig("test.hcl", []byte(source))
	checkErrorLines(t, source, err, []string{"2:10 at most one default"})
}

// A secret may be too short, unquoted, or in the wrong place; none of that may bring it into an
// error.
func TestConfigErrorsHoldNoSecret(t *testing.T) {
	const secret = "hushhush"
	t.Setenv("HOOKWHEEL_TEST_SECRET", secret)
	const fromEnv = `env("HOOKWHEEL_TEST_SECRET")`
	for _, value := range []string{`"` + secret + `"`, secret, fromEnv, `"${` + fromEnv + `}!"`,
		`["` + secret + `"]`, `"%{` + secret + `}"`, secret + "(1)", `{for x in ["a", "b"]: ` + fromEnv + ` => x}`} {
		for kind, keys := range configSchema {
			for _, key := range keys.keys {
				block := key + " = " + value
				switch kind {
				case "":
				case "api.tls", "cluster.tls":
					block = strings.TrimSuffix(kind, ".tls") + " {\n tls {\n" + block + "\n}\n}"
				case "cluster.peer":
					block = "cluster {\n peer \"n1\" {\n" + block + "\n}\n}"
				case "delivery.retry", "delivery.breaker":
					block = "delivery {\n " + strings.TrimPrefix(kind, "delivery.") + " {\n" + block + "\n}\n}"
				default:
					block = kind + " {\n" + block + "\n}"
				}
				_, err := parseConfig("test.hcl", []byte(block))
				if err == nil || strings.Contains(err.Error(), secret) {
					t.Errorf("%s\ngave %v", block, err)
				}
			}
		}
	}
}

func TestLoadConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hookwheel.hcl")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	if err := os.WriteFile(path, []byte("nodes = 3"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path+":1:1: Unsupported argument") {
		t.Errorf("with an unknown key: %v", err)
	}
	if err := os.WriteFile(path, make([]byte, maxConfigFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "at most 64 KiB") {
		t.Errorf("with a large file: %v", err)
	}
}

func TestConfigValues(t *testing.T) {
	sizes := map[string]int64{
		"0": 0, "7": 7, "1KiB": 1 << 10, "3MiB": 3 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40,
		"1 MiB": 1 << 20, "1MB": 1e6, "1.5MiB": 3 << 19,
		"": -1, "KiB": -1, "1XiB": -1, "1.5.5MiB": -1, "-1": -1, "9007199254740992KiB": -1, "1e40": -1, "99999999EiB": -1,
	}
	for text, want := range sizes {
		if got, err := sizeBetween[int64](0, 1<<62)(text); err != nil && want >= 0 || err == nil && got != want {
			t.Errorf("size %q: %d, %v", text, got, err)
		}
	}
	durations := map[string]time.Duration{
		"15s": 15 * time.Second, "2h": 2 * time.Hour, "1h30m": 90 * time.Minute, "3d": 72 * time.Hour, "1d12h": 36 * time.Hour,
		"1w": 7 * 24 * time.Hour, "": -1, "d": -1, "1.5d": -1, "15": -1, "-1s": -1, "400000d": -1, "32767d2562047h": -1, "1d1d": -1,
	}
	for text, want := range durations {
		got, err := durationBetween(0, 1<<63-1)(text)
		if err != nil && want >= 0 || err == nil && got != want {
			t.Errorf("duration %q: %v, %v", text, got, err)
		}
	}
}

var hugeNumber = regexp.MustCompile(`[eE][+-]?\d{4}`)

func FuzzConfig(f *testing.F) {
	source, err := os.ReadFile("../config.example.hcl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(source))
	f.Add(commentedSetting.ReplaceAllString(string(source), "$1$2"))
	f.Add(`api { token = "0123456789abcdef" }`)
	f.Add("api {\n token = env(\"A\", null)\n}\ndelivery {\n allow = [for x in [1]: x]\n retry { jitter = 1 / 3 }\n}")
	f.Add("node = \"a\"\ncluster {\n join = [\"h:1\"]\n address = \"[::1]:1\"\n voter = true\n tls {}\n}")
	f.Add("node = 1 ? \"a\" : {}\ncluster {\n peer n1 { address = <<X\nh:1\nX\n }\n}")
	f.Fuzz(func(t *testing.T, source string) {
		if hugeNumber.MatchString(source) {
			t.Skip("HCL would write out all the digits")
		}
		config, err := parseConfig("fuzz.hcl", []byte(source))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fuzz.hcl:") {
				t.Errorf("an error without its place: %v", err)
			}
			return
		}
		if config.Cluster.Address == "" || len(config.API.Token) < 16 || config.Delivery.PerEndpoint > config.Delivery.Workers {
			t.Errorf("accepted %+v", config)
		}
	})
}

func mustParseConfig(t *testing.T, source string) Config {
	t.Helper()
	config, err := parseConfig("test.hcl", []byte(source))
	if err != nil {
		t.Fatalf("%s\n%v", source, err)
	}
	return config
}

func checkConfig(t *testing.T, got, want Config) {
	t.Helper()
	got.sources, want.sources, got.loaded, got.path = nil, nil, false, ""
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
