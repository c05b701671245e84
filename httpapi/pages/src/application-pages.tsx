// The pages of one application that the portal and the console share.

import { Deliveries } from './deliveries'
import { EndpointPage } from './endpoint'
import { Endpoints } from './endpoints'
import { MessagePage } from './message'
import { Messages } from './messages'
import type { Pages } from './router'
import { TaskPage, Tasks } from './tasks'

export const applicationPages: Pages = [
  ['/endpoints', () => <Endpoints />],
  ['/endpoints/:id', (id) => <EndpointPage id={id} tab="overview" />],
  ['/endpoints/:id/deliveries', (id) => <EndpointPage id={id} tab="deliveries" />],
  ['/endpoints/:id/settings', (id) => <EndpointPage id={id} tab="settings" />],
  ['/deliveries', () => <Deliveries />],
  ['/messages', () => <Messages />],
  ['/messages/:id', (id) => <MessagePage id={id} />],
  ['/tasks', () => <Tasks />],
  ['/tasks/:id', (id) => <TaskPage id={id} />],
]
