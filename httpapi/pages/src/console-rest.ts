// Pages of the console that are loaded when one of them is first opened.

export { AllEndpoints } from './all-endpoints'
export { ApplicationSettings } from './application-settings'
export { Changes } from './audit'
export { ClusterPage } from './cluster'
export { ConfigurationPage } from './configuration'
export { EditEventType, EventTypeOf, EventTypes, NewEventType } from './event-types'
export { ImportPage } from './import'
export { Keys } from './keys'
export { Live } from './live-page'
export { LookPage } from './look'
