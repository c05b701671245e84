package cli

import (
	"net/http"

	"github.com/spf13/cobra"
)

var taskColumns = columns("ID id, TASK task, STATE data.state, TOTAL data.total, TAKEN data.taken, DELIVERED data.delivered, FAILED data.failed, WAITING data.waiting, UPDATED updatedAt")

func newTaskCommand() *cobra.Command {
	return newResourceCommand("task", "Background tasks: replays, and how far they are",
		`  hookwheel task list
  hookwheel task pause qtask_1srOrx2ZWZBpBUvZwXKQmoEYga2`,
		func(p *people) []*cobra.Command {
			change := func(name, short string) *cobra.Command {
				return p.newDo(&cobra.Command{Use: name + " TASK", Short: short}, 1, new(fields), http.MethodPost, "/background-task/%s/"+name, nil, taskColumns, "")
			}
			return []*cobra.Command{
				p.newList(&cobra.Command{Use: "list", Short: "Tasks, the newest first", Args: cobra.NoArgs}, new(fields), taskColumns, func([]string) (string, error) { return "/background-task", nil }),
				p.newDo(&cobra.Command{Use: "get TASK", Short: "Show a task"}, 1, nil, http.MethodGet, "/background-task/%s", nil, taskColumns, ""),
				change("pause", "Pause a task"), change("resume", "Let a paused task go on"), change("cancel", "End a task"),
			}
		})
}
