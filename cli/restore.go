package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"hookwheel/backup"
	"hookwheel/cluster"
	"hookwheel/config"
	"hookwheel/durable"
	"hookwheel/node"
	"hookwheel/wal"
)

// restoreOptions say which data folder to create, for which node.
type restoreOptions struct {
	config  string // file
	data    string
	node    string
	address string
	minFree int64
	from    string         // location
	backup  backup.Options // of the configuration
}

func newRestoreCommand() *cobra.Command {
	o := new(restoreOptions)
	cmd := &cobra.Command{
		Use: "restore (--config FILE | --data FOLDER) (--from LOCATION | BACKUP)",

		DisableFlagsInUseLine: true,

		Short: "Create the first node of a new cluster from a backup",
		Long: `Create the first node of a new cluster from a backup, with everything that was
in it: pending events are delivered once the node leads. BACKUP is a file, or
"-" for standard input. LOCATION is that of one backup, as "hookwheel backup
list" shows it, or one with backups, of which the newest is restored. The data
folder must be new or empty; it is created completely or not at all.

The new cluster has this one node. Start it, then start the other nodes with
empty data folders: they join by themselves. Stop the nodes of the old cluster
first, or both clusters would deliver what is pending. They can't join the new
one until their data folders are moved away.

` + repositoryHelp,
		Example: `  hookwheel restore --config /etc/hookwheel.hcl hookwheel-2026-11-23.backup
  hookwheel restore --config n1.hcl --from s3://acme-backups/hookwheel
  ssh vault cat hw.backup | hookwheel restore --data /var/lib/hookwheel -`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := optionalFile(args)
			switch {
			case name == "" && o.from == "":
				return usageErrorf("name a BACKUP, or where it is with --from")
			case name != "" && o.from != "":
				return usageErrorf("BACKUP and --from can't be combined: there is one backup to restore")
			case o.from != "" && !backup.IsLocation(o.from):
				return usageErrorf("--from must be s3://bucket/prefix or file:///folder; a file is an argument without --from")
			}
			if err := o.complete(cmd); err != nil {
				return err
			}
			return o.run(cmd, name+o.from)
		},
	}
	standard := config.Default()
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "", "configuration `file` of the node (HCL), with its data folder, id and address")
	flags.StringVar(&o.data, "data", "", "data `folder` to create")
	flags.StringVar(&o.node, "node", standard.Node, "with --data: `id` of the node")
	flags.StringVar(&o.address, "address", standard.Cluster.Address, "with --data: `host:port` at which other nodes will reach it")
	flags.StringVar(&o.from, "from", "", "`location` of the backup")
	cmd.MarkFlagsMutuallyExclusive("config", "data")
	cmd.MarkFlagsOneRequired("config", "data")
	return cmd
}

// complete adds what the configuration file says.
func (o *restoreOptions) complete(cmd *cobra.Command) error {
	if o.config == "" {
		settings, err := config.LoadBackup("")
		o.backup = settings.Options()
		return err
	}
	if cmd.Flags().Changed("node") || cmd.Flags().Changed("address") {
		return usageError(errors.New("--node and --address can't be combined with --config: the file has them"))
	}
	config, err := config.Load(o.config)
	if err != nil {
		return err
	}
	o.data, o.node, o.address, o.minFree = config.Data, config.Node, config.Cluster.Address, config.Storage.MinFree
	o.backup = config.Backup.Options()
	return nil
}

func (o *restoreOptions) run(cmd *cobra.Command, name string) error {
	in, err := openSource(cmd.Context(), name, cmd.InOrStdin(), func() (backup.Options, error) { return o.backup, nil })
	if err != nil {
		return err
	}
	progress := newTransfer(cmd.ErrOrStderr())
	header, report, err := o.restore(in, cmd.ErrOrStderr(), progress.report)
	progress.end()
	if err := errors.Join(err, in.close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Restored to %s: the state of %s as of entry %d, %s, in the new cluster %s.\n"+
		"Start %s now, then the other nodes with empty data folders: they join by themselves.\n",
		o.data, header.Node, header.Index, header.Clock.Format("2006-01-02 15:04:05 MST"), report.Cluster[:8], o.node)
	return err
}

// restore restores to a folder that no other restore writes to.
func (o *restoreOptions) restore(backup io.Reader, log io.Writer, progress func(done, total int64),
) (header wal.BackupHeader, report cluster.ResetReport, err error) {
	_, missing := os.Stat(o.data)
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return header, report, err
	}
	unlock, err := lockFolder(o.data)
	if errors.Is(err, errLocked) {
		err = fmt.Errorf("another command restores to %s: let it end, or choose another folder", o.data)
	}
	if err != nil {
		return header, report, err
	}
	defer func() {
		if err != nil && errors.Is(missing, os.ErrNotExist) {
			_ = os.Remove(o.data) // it is empty, unless what had been built was being moved
		}
		err = errors.Join(err, unlock())
	}()
	if err := o.clear(); err != nil {
		return header, report, err
	}
	return o.build(backup, log, progress)
}

// clear removes what a restore that was cut short has left. There may be nothing else.
func (o *restoreOptions) clear() error {
	building := filepath.Join(o.data, node.Restoring)
	entries, err := os.ReadDir(o.data)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(o.data, cluster.IdentityFile)); err == nil {
		return fmt.Errorf("%s is not empty (it has the data of a node) and was not changed: "+
			"if that is from this backup, start the node; otherwise choose a new folder, or move this one away", o.data)
	}
	moved, cut := []string{storeFolder(o.data), cluster.LogDir(o.data)}, isCutShort(o.data)
	for _, entry := range entries {
		known := entry.Name() == filepath.Base(building) || entry.Name() == cluster.SecretFile
		if !known && !(cut && slices.Contains(moved, filepath.Join(o.data, entry.Name()))) {
			return fmt.Errorf("%s is not empty (it contains %s) and was not changed: choose a new folder, or move this one away",
				o.data, entry.Name())
		}
	}
	for _, folder := range append(moved, building) { // building last: without it they would not be known as leftovers
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
	}
	return nil
}

// build builds everything in a folder within the data folder and then moves it up. If that fails in
// the middle, the folder stays: it shows that the restore was cut short.
func (o *restoreOptions) build(backup io.Reader, log io.Writer, progress func(done, total int64),
) (header wal.BackupHeader, report cluster.ResetReport, err error) {
	building := filepath.Join(o.data, node.Restoring)
	if err := os.Mkdir(building, 0o700); err != nil {
		return header, report, err
	}
	header, err = wal.Restore(storeFolder(building), backup, wal.RestoreOptions{Logger: quietLogger(log), Progress: progress})
	if err != nil {
		return header, report, errors.Join(fmt.Errorf("restoring: %w", err), os.RemoveAll(building))
	}
	if report, err = o.reset(building, log); err != nil {
		return header, report, errors.Join(fmt.Errorf("creating the cluster: %w", err), os.RemoveAll(building))
	}
	if err := o.moveUp(building); err != nil {
		return header, report, err
	}
	return header, report, os.RemoveAll(building)
}

// moveUp moves what was built into the data folder. The files that identify the node are moved
// last: without them it does not start.
func (o *restoreOptions) moveUp(building string) error {
	entries, err := os.ReadDir(building)
	if err != nil {
		return err
	}
	for _, last := range []bool{false, true} {
		for _, entry := range entries {
			if entry.IsDir() == last {
				continue
			}
			if err := os.Rename(filepath.Join(building, entry.Name()), filepath.Join(o.data, entry.Name())); err != nil {
				return err
			}
		}
		if err := durable.SyncDir(o.data); err != nil {
			return err
		}
	}
	return nil
}

// isCutShort reports whether a restore has not come to its end, so that all folders are from it: no
// node starts there, and no restore begins where there is anything else.
func isCutShort(data string) bool {
	_, building := os.Stat(filepath.Join(data, node.Restoring))
	_, identity := os.Stat(filepath.Join(data, cluster.IdentityFile))
	return building == nil && errors.Is(identity, os.ErrNotExist)
}

// reset turns the restored state into that of a new cluster of one node.
func (o *restoreOptions) reset(data string, to io.Writer) (report cluster.ResetReport, err error) {
	log := quietLogger(to)
	err = changeStore(wal.Config{Dir: storeFolder(data), MinFree: o.minFree, Logger: log}, func(store *wal.Store) error {
		made, err := cluster.Reset(data, o.node, o.address, store, log)
		if err == nil {
			report = made
		}
		return err
	})
	if err != nil {
		return cluster.ResetReport{}, err
	}
	return report, nil
}
