package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"hookwheel/cluster"
	"hookwheel/config"
	"hookwheel/wal"
)

// restoreOptions are whose data folder is to be made.
type restoreOptions struct {
	config  string // file
	data    string
	node    string
	address string
	minFree int64
}

func newRestoreCommand() *cobra.Command {
	o := new(restoreOptions)
	cmd := &cobra.Command{
		Use:   "restore (--config FILE | --data FOLDER) BACKUP",
		Short: "Make the first node of a new cluster out of a backup",
		Long: `Make the first node of a new cluster out of a backup, with all that was in it: what was pending is delivered when the node
leads. BACKUP is a file, or "-" for standard input. The data folder must be new or empty. It is made wholly or not at all.

The new cluster has this one node. Start it, then start the other nodes with empty data folders: they join by themselves.
Nodes of the old cluster can't take part until their data folders are moved away. Stop them first: two clusters with the same
state would both deliver what is pending.`,
		Example: `  hookwheel restore --config /etc/hookwheel.hcl hookwheel-2026-11-23.backup
  ssh vault cat hookwheel.backup | hookwheel restore --data ./hookwheel-data --node n1 -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(cmd); err != nil {
				return err
			}
			return o.run(cmd, args[0])
		},
	}
	standard := config.Default()
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "", "configuration file of the node (HCL): it says the data folder, the node and its address")
	flags.StringVar(&o.data, "data", "", "data folder to be made")
	flags.StringVar(&o.node, "node", standard.Node, "with --data: the node's id")
	flags.StringVar(&o.address, "address", standard.Cluster.Address, "with --data: host:port at which other nodes will reach it")
	cmd.MarkFlagsMutuallyExclusive("config", "data")
	cmd.MarkFlagsOneRequired("config", "data")
	return cmd
}

// complete takes from the configuration file what the flags leave out.
func (o *restoreOptions) complete(cmd *cobra.Command) error {
	if o.config == "" {
		return nil
	}
	if cmd.Flags().Changed("node") || cmd.Flags().Changed("address") {
		return errors.New("--node and --address go with --data: with --config the file says them")
	}
	config, err := config.Load(o.config)
	if err != nil {
		return err
	}
	o.data, o.node, o.address, o.minFree = config.Data, config.Node, config.Cluster.Address, config.Storage.MinFree
	return nil
}

func (o *restoreOptions) run(cmd *cobra.Command, path string) error {
	in := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	progress := newTransfer(cmd.ErrOrStderr())
	header, report, err := o.restore(in, cmd.ErrOrStderr(), progress.told)
	progress.end()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s holds the state of %s as of entry %d, %s, and is the first node of cluster %s.\n"+
		"Start %s now, and then the others with empty data folders: they join by themselves.\n",
		o.data, header.Node, header.Index, header.Clock.Format("2006-01-02 15:04:05 MST"), report.Cluster[:8], o.node)
	return err
}

// restore builds all in a folder within the data folder and then moves it up, what says whose folder it is last: without
// that a node does not start.
func (o *restoreOptions) restore(backup io.Reader, log io.Writer, told func(done, total int64)) (header wal.BackupHeader, report cluster.ResetReport, err error) {
	building := filepath.Join(o.data, "restoring")
	entries, err := os.ReadDir(o.data)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return header, report, err
	}
	for _, entry := range entries {
		if entry.Name() != filepath.Base(building) && entry.Name() != cluster.SecretFile {
			return header, report, fmt.Errorf("%s is not empty (it holds %s), and is left as it is: choose a new folder, or move this one away",
				o.data, entry.Name())
		}
	}
	if err := errors.Join(os.RemoveAll(building), os.MkdirAll(building, 0o700)); err != nil {
		return header, report, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(building)) }()
	store := storeFolder(building)
	header, err = wal.Restore(store, backup, wal.RestoreOptions{Logger: quietLogger(log), Progress: told})
	if err != nil {
		return header, report, fmt.Errorf("restoring: %w", err)
	}
	if report, err = o.reset(building, log); err != nil {
		return header, report, fmt.Errorf("beginning a cluster: %w", err)
	}
	if entries, err = os.ReadDir(building); err != nil {
		return header, report, err
	}
	for _, last := range []bool{false, true} {
		for _, entry := range entries {
			if entry.IsDir() == last {
				continue
			}
			if err := os.Rename(filepath.Join(building, entry.Name()), filepath.Join(o.data, entry.Name())); err != nil {
				return header, report, err
			}
		}
		if err := syncFolder(o.data); err != nil {
			return header, report, err
		}
	}
	return header, report, nil
}

// reset has the restored state be that of a new cluster of one node.
func (o *restoreOptions) reset(data string, to io.Writer) (report cluster.ResetReport, err error) {
	log := quietLogger(to)
	var failed error
	store, err := wal.Open(wal.Config{Dir: storeFolder(data), MinFree: o.minFree, Logger: log, Fatal: func(err error) { failed = err }})
	if err != nil {
		return report, err
	}
	report, err = cluster.Reset(data, o.node, o.address, store, log)
	err = errors.Join(err, store.Close())
	return report, errors.Join(err, failed)
}
