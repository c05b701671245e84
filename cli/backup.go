package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"hookwheel/wal"
)

// backupSilence is how long a node that sends a backup may be silent.
const backupSilence = time.Minute

func newBackupCommand() *cobra.Command {
	c := new(client)
	var output string
	cmd := &cobra.Command{
		Use:   "backup [--output FILE]",
		Short: "Copy the state of a running cluster into a file",
		Long: `Copy the state of a running cluster into a file: applications, endpoints with their secrets, events, attempts, what is pending.
The copy is of one moment and holds all that was acknowledged before the call; the cluster goes on meanwhile. Any node can
be asked; one that does not lead is the better choice.

The file carries a checksum, which is verified before the file gets its name: what stands there is whole. With "-", or if the
output is no terminal, it goes to standard output. Keep it safe: it can be read by anyone who has it.`,
		Example: `  hookwheel backup --output hookwheel-$(date +%F).backup
  hookwheel backup --url http://10.0.0.2:8071 | ssh vault 'cat > hookwheel.backup'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return backUp(cmd, c, output) },
	}
	c.addFlags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to be made; it must not be there")
	return cmd
}

func backUp(cmd *cobra.Command, c *client, output string) (err error) {
	if output == "" && isTerminal(os.Stdout) {
		return errors.New("a backup is no text for a terminal: name a file with --output, or redirect the output")
	}
	toFile := output != "" && output != "-"
	if _, err := os.Lstat(output); toFile && err == nil {
		return fmt.Errorf("%s is there already, and is left as it is: choose another name", output)
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	answer, err := c.request(ctx, "GET", "/cluster/backup", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	silence := time.AfterFunc(backupSilence, cancel)
	defer silence.Stop()
	progress := newTransfer(cmd.ErrOrStderr())
	told := func(done, total int64) {
		silence.Reset(backupSilence)
		progress.told(done, total)
	}
	var header wal.BackupHeader
	if toFile {
		header, err = saveBackup(answer.Body, output, told)
	} else {
		header, err = wal.VerifyBackup(io.TeeReader(answer.Body, unwrap(cmd.OutOrStdout())), told)
	}
	progress.end()
	if err != nil {
		return fmt.Errorf("the backup was not completed, try again: %w", err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "The backup is whole: the state of %s as of entry %d, %s.\n", header.Node, header.Index, header.Made.Format(time.RFC3339))
	return nil
}

// saveBackup writes a file and reads it again before it gets its name. The folder may be one that
// others can write to: the file is new under a name that nobody can guess, readable for its owner
// only, and what gets the name is that very file.
func saveBackup(from io.Reader, path string, told func(done, total int64)) (header wal.BackupHeader, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // O_EXCL, 0600
	if err != nil {
		return header, err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name()), syncFolder(filepath.Dir(path))) }()
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := wal.VerifyBackup(io.TeeReader(from, file), told); err != nil {
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

// sameFile checks that nobody has put another file in the place of one.
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
		return fmt.Errorf("%s is not the file that was written: somebody else changes this folder; choose one of your own", path)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// transfer says how far a long copy is: on a terminal in one line that changes, else in a line now and then.
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

func (t *transfer) told(done, total int64) {
	pause, format := 5*time.Second, "%s\n"
	if t.terminal {
		pause, format = 200*time.Millisecond, "\r%s\x1b[K"
	}
	if time.Since(t.last) < pause && (done < total || !t.terminal) {
		return
	}
	t.last, t.written = time.Now(), true
	rate := float64(done) / max(time.Since(t.begin).Seconds(), 0.001)
	text := fmt.Sprintf("%.1f of %.1f MiB, %.0f %%, %.1f MiB/s", mebibytes(done), mebibytes(total), 100*float64(done)/float64(total), rate/(1<<20))
	fmt.Fprintf(t.to, format, text)
}

// end ends the line that changes.
func (t *transfer) end() {
	if t.terminal && t.written {
		fmt.Fprintln(t.to)
	}
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }
