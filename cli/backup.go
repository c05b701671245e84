package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hookwheel/durable"
	"hookwheel/wal"
)

// backupSilence is how long a node may pause while it sends a backup.
const backupSilence = time.Minute

func newBackupCommand() *cobra.Command {
	c := new(client)
	var output, to string
	var o repositoryOptions
	cmd := &cobra.Command{
		Use:   "backup [--output FILE | --to LOCATION]",
		Short: "Copy the state of a running cluster into a file or object storage",
		Long: `Copy the state of a running cluster: applications, endpoints with their
secrets, events, attempts, pending deliveries. The copy is consistent and has
everything that was acknowledged before the call; the cluster keeps running. Any
node will do; a follower is the better choice. With backup.to in their
configuration, nodes make backups themselves.

With --to, the backup is stored in a bucket or a folder, encrypted if there is a
key, and appears there when it is complete. With --output, it is a file.

The checksum of the copy is verified before the file gets its name, so a file
with that name is complete. With "-", or if the output is redirected, the backup
goes to standard output. Keep it safe: whoever has it can read everything in it.

` + repositoryHelp,
		Example: `  hookwheel backup --to s3://acme-backups/hookwheel
  hookwheel backup --output hookwheel-$(date +%F).backup
  hookwheel backup --url http://10.0.0.2:8071 | ssh vault 'cat > hw.backup'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" && o.config == "" {
				return backUp(cmd, c, output)
			}
			options, err := o.options(to)
			if err != nil {
				return err
			}
			return backUpTo(cmd, c, options)
		},
	}
	c.addFlagsTo(cmd.Flags())
	o.addFlags(cmd)
	cmd.Flags().StringVar(&to, "to", "", "`location` to store the backup at")
	cmd.Flags().StringVarP(&output, "output", "o", "", "`file` to create; it must not exist")
	cmd.MarkFlagsMutuallyExclusive("output", "to")
	cmd.MarkFlagsMutuallyExclusive("output", "config")
	cmd.AddCommand(newBackupList(), newBackupVerify())
	return cmd
}

func backUp(cmd *cobra.Command, c *client, output string) (err error) {
	if output == "" && isTerminal(os.Stdout) {
		return usageError(errors.New("refusing to write binary data to a terminal: use --output FILE, or redirect the output"))
	}
	toFile := output != "" && output != "-"
	if _, err := os.Lstat(output); toFile && err == nil {
		return fmt.Errorf("%s already exists and is not overwritten: choose another name", output)
	}
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	response, err := c.request(ctx, "GET", "/cluster/backup", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content := watchedReader{response.Body, backupSilence, cancel}
	progress := newTransfer(cmd.ErrOrStderr())
	var header wal.BackupHeader
	if toFile {
		header, err = saveBackup(content, output, progress.report)
	} else {
		header, err = wal.VerifyBackup(io.TeeReader(content, unwrap(cmd.OutOrStdout())), progress.report)
	}
	progress.end()
	if err != nil {
		return fmt.Errorf("no complete backup was written: %w", err)
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "Backup complete: the state of %s as of entry %d, %s.\n",
		header.Node, header.Index, header.Made.Format(time.RFC3339))
	return err
}

const (
	unfinishedBackup = ".hookwheel-backup-" // begins the name of a file that is being written
	abandonedAfter   = 24 * time.Hour       // without a change: to read a backup back takes less
)

// removeAbandoned removes what backups have left in a folder that were killed: nobody would look
// for files of such names, and each may be as large as a backup.
func removeAbandoned(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrPermission) {
		return nil // it can still be written to
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), unfinishedBackup) || !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if err == nil && time.Since(info.ModTime()) > abandonedAfter {
			err = os.Remove(filepath.Join(folder, entry.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) { // another's
			return err
		}
	}
	return nil
}

// saveBackup writes a file and reads it back before it gets its name. Others may be able to write
// to the folder, so the file is created under a name that nobody can guess, readable by its owner
// only, and it is verified that this very file gets the name.
func saveBackup(from io.Reader, path string, report func(done, total int64)) (header wal.BackupHeader, err error) {
	if err := removeAbandoned(filepath.Dir(path)); err != nil {
		return header, err
	}
	file, err := os.CreateTemp(filepath.Dir(path), unfinishedBackup+"*") // O_EXCL, 0600
	if err != nil {
		return header, err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name()), durable.SyncDir(filepath.Dir(path))) }()
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := wal.VerifyBackup(io.TeeReader(from, file), report); err != nil {
		return header, err
	}
	if err := file.Sync(); err != nil {
		return header, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return header, err
	}
	if header, err = wal.VerifyBackup(file, func(_, _ int64) {}); err != nil {
		return header, fmt.Errorf("reading it back: %w", err)
	}
	if err := os.Link(file.Name(), path); err != nil { // unlike a rename it replaces nothing
		return header, err
	}
	return header, sameFile(file, path)
}

// sameFile returns an error if path names a file other than the one that is open.
func sameFile(file *os.File, path string) error {
	opened, err := file.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(opened, named) {
		return fmt.Errorf("%s is not the file that was written: another process changed this folder; choose one that only you can write to", path)
	}
	return nil
}

// transfer prints the progress of a long copy: in one changing line on a terminal, otherwise in a
// line every few seconds.
type transfer struct {
	to       io.Writer
	terminal bool
	begin    time.Time
	last     time.Time
	written  bool
}

func newTransfer(to io.Writer) *transfer {
	now := time.Now()
	return &transfer{to: unwrap(to), terminal: isTerminal(to), begin: now, last: now}
}

func (t *transfer) report(done, total int64) {
	pause, format := 5*time.Second, "%s\n"
	if t.terminal {
		pause, format = 200*time.Millisecond, "\r%s\x1b[K"
	}
	if time.Since(t.last) < pause && (done < total || !t.terminal) {
		return
	}
	t.last, t.written = time.Now(), true
	rate := float64(done) / max(time.Since(t.begin).Seconds(), 0.001)
	percent := 100 * float64(done) / float64(total)
	text := fmt.Sprintf("%s of %s, %.0f %%, %s/s", size(done), size(total), percent, size(int64(rate)))
	fmt.Fprintf(t.to, format, text)
}

// end ends the changing line.
func (t *transfer) end() {
	if t.terminal && t.written {
		fmt.Fprintln(t.to)
	}
}
