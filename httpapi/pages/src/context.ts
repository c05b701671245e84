// What the parts of a page need to know about its reader.

import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import type { Event } from './live'

export type Capability = 'ViewBase' | 'ViewEndpointSecret' | 'ManageEndpointSecret' | 'CreateAttempts' | 'ManageEndpoint'

export interface Reader {
  app: string // ID of the application
  base: string // path of its pages, below the door
  operator: boolean
  may: (capability: Capability) => boolean
}

export const ReaderContext = createContext<Reader>({ app: '', base: '', operator: false, may: () => false })

export function useReader(): Reader {
  return useContext(ReaderContext)
}

// useMatters returns whether an event is about the application of the reader, and about what more
// asks for.
export function useMatters(more: (data: Record<string, unknown>) => boolean = () => true): (e: Event) => boolean {
  const { app, operator } = useReader()
  const named = operator && app.startsWith('app_') // else it is the only one, or named by its uid
  return ({ data }) => (!named || data.appId === app) && more(data)
}
