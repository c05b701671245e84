// A page that shows all hooks of svix-react to browser.js, as window.hooks.
import { createRoot } from 'react-dom/client'
import * as react from 'svix-react'

function Page({ endpoint, message, attempt }) {
  window.hooks = {
    endpoints: react.useEndpoints(),
    endpoint: react.useEndpoint(endpoint),
    functions: react.useEndpointFunctions(endpoint),
    secret: react.useEndpointSecret(endpoint),
    headers: react.useEndpointHeaders(endpoint),
    stats: react.useEndpointStats(endpoint),
    eventTypes: react.useEventTypes(),
    messages: react.useMessages(),
    message: react.useMessage(message),
    destinations: react.useMessageEndpoints(message),
    attempts: react.useMessageAttempts(message),
    attempted: react.useAttemptedMessages(endpoint),
    byEndpoint: react.useEndpointMessageAttempts(endpoint),
    attempt: react.useAttemptFunctions(attempt),
    created: react.useNewEndpoint(),
  }
  return null
}

window.show = ({ url, app, token, ...ids }) => {
  createRoot(document.body.appendChild(document.createElement('div'))).render(
    <react.SvixProvider token={token} appId={app} options={{ serverUrl: url }}>
      <Page {...ids} />
    </react.SvixProvider>,
  )
}
