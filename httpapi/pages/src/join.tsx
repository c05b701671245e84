// How to add a node: what its configuration has, what to run, and that it is admitted.

import { useState } from 'preact/hooks'
import { send, type Cluster } from './api'
import { useAction } from './load'
import { t } from './text'
import { Button, Check, Copy, Dialog, Failure, Form, TextInput, toast } from './ui'

export function JoinDialog({ members, close }: { members: Cluster['members']; close: () => void }) {
  const [address, setAddress] = useState('')
  const [voter, setVoter] = useState(true)
  const { busy, problem, run } = useAction()
  const config = configOf(freeName(members.map((m) => m.id)), address.trim(), voter, members.map((m) => m.address))
  return (
    <Dialog title={t.addNode} close={close}>
      <Form submit={() => run(async () => {
        await send('POST', '/cluster/members', { address: address.trim(), voter })
        toast(t.nodeAdded)
        close()
      })}>
        <TextInput label={t.addressOfNode} value={address} set={setAddress} placeholder="10.0.0.4:9071" hint={t.addressHint} error={problem?.fields.address} required />
        <Check label={t.withVote} value={voter} set={setVoter} hint={t.withVoteHint} />
        <p>{t.startNode}</p>
        <pre tabIndex={0} aria-label={t.configuration}>{config}</pre>
        <p><Copy text={config} /> <code class="mono">hookwheel serve --config node.hcl</code></p>
        <p>{t.admitNode}</p>
        <Failure problem={problem} />
        <div class="actions">
          <Button onClick={close}>{t.cancel}</Button>
          <Button submit kind="main" busy={busy}>{t.admit}</Button>
        </div>
      </Form>
    </Dialog>
  )
}

// freeName returns a name for a node that no other has.
function freeName(taken: string[]): string {
  let n = 1
  while (taken.includes('n' + n)) n++
  return 'n' + n
}

function configOf(name: string, address: string, voter: boolean, others: string[]): string {
  return `node = "${name}"
data = "./hookwheel-data"
api {
  token = env("HOOKWHEEL_TOKEN")
}
cluster {
  address = ${JSON.stringify(address || '10.0.0.4:9071')}
  join    = ${JSON.stringify(others).replaceAll(',', ', ')}
  secret  = env("HOOKWHEEL_SECRET")
${voter ? '' : '  voter   = false\n'}  tls {
    ca   = "ca.pem"
    cert = "${name}.pem"
    key  = "${name}-key.pem"
  }
}`
}
