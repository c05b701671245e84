package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hookwheel/backup"
	"hookwheel/config/certs"
)

const lookupTimeout = 2 * time.Second // for the names of all peers

// Check reads a configuration, as Load does, and tries on this machine what a node would need of
// it, without starting one. Warnings are about what a node can start with. The error has one line
// for each mistake, with the place of the setting.
func Check(ctx context.Context, path string) (config Config, warnings []string, err error) {
	name, source, err := readFile(path)
	if err != nil {
		return Config{}, nil, err
	}
	config, found, err := decode(name, source)
	if err != nil {
		return Config{}, nil, err
	}
	c := &check{config: &config, found: found, warnings: config.unread}
	c.data()
	c.certificates()
	c.addresses()
	c.names(ctx)
	c.backup()
	return config, c.warnings, errors.Join(append([]error{configError(found.diags)}, c.errs...)...)
}

// check collects what is wrong with settings that could be read.
type check struct {
	config   *Config
	found    *reading
	warnings []string
	errs     []error
}

// isRead reports whether a setting has the value that was meant.
func (c *check) isRead(name string) bool { return !c.found.failed[name] }

func (c *check) fail(name string, err error) {
	c.errs = append(c.errs, errors.New(c.at(name)+" "+err.Error()))
}

func (c *check) warn(name, text string) { c.warnings = append(c.warnings, c.at(name)+" "+text) }

// at begins a sentence about a setting: with its place, unless it is a default.
func (c *check) at(name string) string {
	if source := c.found.sources[name]; source != "" {
		return source + ": " + name
	}
	return name
}

// data checks that the data folder is writable, or that it can be created.
func (c *check) data() {
	if !c.isRead("data") {
		return
	}
	folder, err := filepath.Abs(c.config.Data)
	for err == nil {
		var stat unix.Stat_t
		err = unix.Stat(folder, &stat)
		if errors.Is(err, fs.ErrNotExist) && filepath.Dir(folder) != folder {
			folder, err = filepath.Dir(folder), nil
			continue
		}
		if err == nil && stat.Mode&unix.S_IFMT != unix.S_IFDIR {
			err = unix.ENOTDIR
		}
		if err == nil {
			err = unix.Access(folder, unix.W_OK|unix.X_OK)
		}
		break
	}
	if err != nil {
		c.fail("data", fmt.Errorf("must be a folder that this user can write to, or create: %s: %w", folder, err))
	}
}

func (c *check) certificates() {
	for block, use := range map[string]struct {
		files certs.Files
		node  string
	}{"api.tls": {c.config.API.TLS, ""}, "cluster.tls": {c.config.Cluster.TLS, c.config.Node}} {
		unread := func(key string) bool { return !c.isRead(block + key) }
		if use.files == (certs.Files{}) || slices.ContainsFunc([]string{".ca", ".cert", ".key"}, unread) || use.node != "" && !c.isRead("node") {
			continue
		}
		opened, err := certs.Open(use.files, use.node, slog.New(slog.DiscardHandler))
		if err != nil {
			c.fail(block+".cert", fmt.Errorf("can't be used: %w", err))
		} else if warning := opened.Warning(); warning != "" {
			c.warn(block+".cert", warning)
		}
	}
}

// addresses checks that the node can listen where it is to, and not twice at one address.
func (c *check) addresses() {
	used := make(map[string]string)
	for _, listener := range []struct{ name, address string }{
		{"api.listen", c.config.API.Listen}, {"portal.listen", c.config.Portal.Listen}, {"api.metrics", c.config.API.Metrics.Listen},
		{"cluster.listen", c.config.Cluster.Listen},
	} {
		if listener.address == "" || !c.isRead(listener.name) || listener.name == "cluster.listen" && !c.isRead("cluster.address") {
			continue
		}
		if other := used[listener.address]; other != "" && !strings.HasSuffix(listener.address, ":0") {
			c.fail(listener.name, fmt.Errorf("must not be the address of %s: %s", other, listener.address))
			continue
		}
		used[listener.address] = listener.name
		opened, err := net.Listen("tcp", listener.address)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			c.warn(listener.name, listener.address+" is in use, perhaps by this node")
		case err != nil:
			c.fail(listener.name, fmt.Errorf("can't be used on this machine: %w", err))
		default:
			if err := opened.Close(); err != nil {
				c.fail(listener.name, err)
			}
		}
	}
}

// backup checks that there are credentials, and that certificates can be read.
func (c *check) backup() {
	if c.config.Backup.To.IsZero() || slices.ContainsFunc(settingNames(), func(name string) bool { return strings.HasPrefix(name, "backup.") && !c.isRead(name) }) {
		return
	}
	if _, err := backup.Open(c.config.Backup.Options()); err != nil {
		c.fail("backup.to", fmt.Errorf("can't be used: %w", err))
	}
}

// names looks up the names of other nodes and of the collector for traces. Those that do not run
// may not be known yet.
func (c *check) names(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	lookUp := func(setting, host, address string, err error) {
		if err == nil {
			_, err = net.DefaultResolver.LookupHost(ctx, host)
		}
		if err != nil {
			c.warn(setting, address+" can't be found at present: "+err.Error())
		}
	}
	lookUpNode := func(setting, address string) {
		host, _, err := net.SplitHostPort(address)
		lookUp(setting, host, address, err)
	}
	if c.isRead(peerSetting) && c.isRead(peerSetting+".address") {
		for _, peer := range c.config.Cluster.Peers {
			lookUpNode(peerSetting, peer.Address)
		}
	}
	for _, address := range c.config.Cluster.Join {
		lookUpNode("cluster.join", address)
	}
	if collector, err := url.Parse(c.config.Tracing.Endpoint); err == nil && collector.Host != "" {
		lookUp("tracing.endpoint", collector.Hostname(), collector.Host, nil)
		if collector.Port() == "4317" {
			c.warn("tracing.endpoint", "has the port of OTLP over gRPC, which is not supported; that of OTLP over HTTP is 4318")
		}
	}
}

// Summary describes the node in one line.
func (c *Config) Summary() string {
	scheme := "http"
	if c.API.TLS != (certs.Files{}) {
		scheme = "https"
	}
	text := fmt.Sprintf("node %s, data in %s, API at %s://%s", c.Node, c.Data, scheme, c.API.Listen)
	switch {
	case len(c.Cluster.Join) > 0:
		text += ", joins the cluster of " + strings.Join(c.Cluster.Join, ", ")
	case c.Cluster.Listen == "":
		text += ", no cluster"
	default:
		text += fmt.Sprintf(", one of %d nodes", len(c.Cluster.Peers))
	}
	return fmt.Sprintf("%s, %d settings are not defaults", text, c.changed())
}

// changed returns how many settings are not defaults.
func (c *Config) changed() (count int) {
	for _, setting := range c.Effective() {
		if !setting.Default {
			count++
		}
	}
	return count
}
