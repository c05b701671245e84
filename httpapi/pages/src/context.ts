// What the parts of a page need to know about its reader.

import { createContext } from 'preact'
import { useContext } from 'preact/hooks'

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
