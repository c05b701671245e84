// How to verify signatures: functions to paste, and a check of a request that was received.

import { useState } from 'preact/hooks'
import { functionsOf, type Code } from './functions'
import { useAction, useLoad } from './load'
import { verify } from './signature'
import { t } from './text'
import { Button, Card, Content, Copy, Failure, Select, TextInput, Title } from './ui'

export function Verify() {
  return (
    <>
      <Title>{t.verify}</Title>
      <p>{t.verifyText}</p>
      <Functions />
      <Request />
    </>
  )
}

// readFunctions returns those of docs/receiving.md: tests run them.
async function readFunctions(): Promise<Code[]> {
  return functionsOf((await import('../../../docs/receiving.md')).default)
}

function Functions() {
  const functions = useLoad(readFunctions, [])
  return <Card title={t.functions}><Content of={functions}>{(list) => <CodeOf functions={list} />}</Content></Card>
}

function CodeOf({ functions }: { functions: Code[] }) {
  const [name, set] = useState(functions[0]!.name)
  const { code } = functions.find((f) => f.name === name)!
  return (
    <>
      <Select label={t.programmingLanguage} value={name} set={set} options={functions.map((f) => [f.name, f.name])} />
      <pre tabIndex={0} aria-label={name}>{code}</pre>
      <Copy text={code} />
    </>
  )
}

function Request() {
  const [headers, setHeaders] = useState('')
  const [body, setBody] = useState('')
  const [secret, setSecret] = useState('')
  const [found, setFound] = useState<string[] | undefined>()
  const { busy, problem, run } = useAction()
  if (!globalThis.crypto?.subtle) return <Card title={t.checkRequest}><p>{t.needsHTTPS}</p></Card>
  const change = (set: (v: string) => void) => (v: string) => { setFound(undefined); set(v) }
  return (
    <Card title={t.checkRequest}>
      <p>{t.checkRequestText}</p>
      <form onSubmit={(e) => { e.preventDefault(); void run(async () => setFound(await verify(headers, body, secret))) }}>
        <TextInput label={t.headers} rows={4} value={headers} set={change(setHeaders)} hint="webhook-id: …  webhook-timestamp: …  webhook-signature: …" required />
        <TextInput label={t.body} rows={6} value={body} set={change(setBody)} />
        <TextInput label={t.secret} value={secret} set={change(setSecret)} placeholder="whsec_…" required />
        <Failure problem={problem} />
        <Button submit kind="main" busy={busy}>{t.check}</Button>
        <div role="status">
          {found && (found.length === 0 ? <p class="notice">{t.valid}</p> : <ul class="problem">{found.map((f) => <li>{f}</li>)}</ul>)}
        </div>
      </form>
    </Card>
  )
}
