// The pages of one application, in the portal and in the console.

import type { ComponentChildren } from 'preact'
import { Catalogue, EventTypePage } from './catalogue'
import { Deliveries } from './deliveries'
import { EndpointPage } from './endpoint'
import { Endpoints } from './endpoints'
import { MessagePage } from './message'
import { Messages } from './messages'
import { match } from './router'
import { TaskPage, Tasks } from './tasks'

const pages: [pattern: string, page: (id: string) => ComponentChildren][] = [
  ['/endpoints', () => <Endpoints />],
  ['/endpoints/:id', (id) => <EndpointPage id={id} tab="overview" />],
  ['/endpoints/:id/deliveries', (id) => <EndpointPage id={id} tab="deliveries" />],
  ['/endpoints/:id/settings', (id) => <EndpointPage id={id} tab="settings" />],
  ['/deliveries', () => <Deliveries />],
  ['/messages', () => <Messages />],
  ['/messages/:id', (id) => <MessagePage id={id} />],
  ['/tasks', () => <Tasks />],
  ['/tasks/:id', (id) => <TaskPage id={id} />],
  ['/event-types', () => <Catalogue />],
  ['/event-types/:name', (name) => <EventTypePage name={name} />],
]

// applicationPage returns the page of a path below that of the application, or nothing.
export function applicationPage(path: string): ComponentChildren | undefined {
  for (const [pattern, page] of pages) {
    const params = match(pattern, path)
    if (params) return page(params[0] ?? '')
  }
  return undefined
}
