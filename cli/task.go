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
			r.list(listing{use: "list", short: "List tasks, newest first",
				example: `  hookwheel task list
  hookwheel task list --app acme --endpoint billing --status running`,
				path: "/background-task", columns: taskColumns,
				query: new(fields).
					text("app", "app", "only of this `application` (id or uid)").
					text("endpoint", "endpoint", "only of this `endpoint` (id or uid), with --app").
					choice("status", "status", "only with this `status`; running includes paused, finished canceled",
						sameWords("running", "paused", "finished", "canceled", "failed"))}),
			r.command(operation{use: "get TASK", short: "Show a task",
				example: "  hookwheel task get qtask_1srOrx2ZWZBpBUvZwXKQmoEYga2",
				method:  http.MethodGet, path: "/background-task/%s", columns: taskColumns}),
			change("pause", "Pause a task"), change("resume", "Resume a paused task"), change("cancel", "Cancel a task"),
		}
	})
}
