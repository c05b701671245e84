package cli

import (
	"net/http"

	"github.com/spf13/cobra"
)

var taskColumns = columns("ID id, TASK task, STATE data.state, TOTAL data.total, TAKEN data.taken, " +
	"DELIVERED data.delivered, FAILED data.failed, WAITING data.waiting, UPDATED updatedAt")

func newTaskCommand() *cobra.Command {
	return newResourceCommand(&cobra.Command{
		Use:   "task",
		Short: "Background tasks: replays and their progress",
		Example: `  hookwheel task list
  hookwheel task pause qtask_1srOrx2ZWZBpBUvZwXKQmoEYga2`,
	}, func(r *resource) []*cobra.Command {
		change := func(verb, short string) *cobra.Command {
			return r.command(operation{use: verb + " TASK", short: short,
				example: "  hookwheel task " + verb + " qtask_1srOrx2ZWZBpBUvZwXKQmoEYga2",
				method:  http.MethodPost, path: "/background-task/%s/" + verb, body: new(fields), columns: taskColumns})
		}
		return []*cobra.Command{
			r.list(listing{use: "list", short: "List tasks, newest first", example: "  hookwheel task list",
				path: "/background-task", columns: taskColumns}),
			r.command(operation{use: "get TASK", short: "Show a task",
				example: "  hookwheel task get qtask_1srOrx2ZWZBpBUvZwXKQmoEYga2",
				method:  http.MethodGet, path: "/background-task/%s", columns: taskColumns}),
			change("pause", "Pause a task"), change("resume", "Resume a paused task"), change("cancel", "Cancel a task"),
		}
	})
}
