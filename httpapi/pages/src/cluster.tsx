// The nodes: who leads, how far each is, and how much room it has.

import { useState } from 'preact/hooks'
import { get, p, send, type Cluster } from './api'
import { useReader } from './context'
import { bytes, number } from './format'
import { useAction, useLoad } from './load'
import { t } from './text'
import { Ago, Badge, Button, Confirm, Content, Failure, Table, Title, toast } from './ui'

type Member = Cluster['members'][number]

export function ClusterPage() {
  const { may } = useReader()
  const cluster = useLoad((signal) => get<Cluster>('/cluster', {}, signal), [], 3)
  const [removing, remove] = useState<Member | undefined>()
  const { busy, problem, run } = useAction()
  const transfer = (m: Member) => () => void run(async () => {
    await send('POST', '/cluster/transfer', { to: m.id })
    toast(t.transferred)
    cluster.reload()
  })
  return (
    <>
      <Title>{t.cluster}</Title>
      <Failure problem={problem} />
      <Content of={cluster}>
        {(c) => (
          <>
            {c.waiting && <p class="notice">{c.waiting}</p>}
            {!c.leader && <p class="notice" role="alert">{t.noLeader}</p>}
            <Table caption={t.nodes} rows={c.members} id={(m) => m.server} columns={[
              { name: t.node, show: (m) => m.id },
              { name: t.state, show: (m) => <NodeState of={m} leader={c.leader} /> },
              { name: t.applied, show: (m) => m.status ? number(m.status.appliedIndex) : '–' },
              { name: t.freeSpace, show: (m) => m.status ? bytes(m.status.freeBytes) : '–' },
              { name: t.version, show: (m) => m.status?.version ?? '–' },
              { name: t.lastSeen, show: (m) => <Ago at={m.lastSeen} /> },
              ...(may('ManageEndpoint') ? [{
                name: t.action, wide: true, show: (m: Member) => (
                  <span class="actions">
                    {m.id !== c.leader && m.voter && <Button busy={busy} onClick={transfer(m)} aria-label={t.makeLeaderNamed(m.id)}>{t.makeLeader}</Button>}
                    <Button kind="danger" onClick={() => remove(m)} aria-label={t.removeNamed(m.id)}>{t.remove}</Button>
                  </span>
                ),
              }] : []),
            ]} />
            {removing && (
              <Confirm title={t.removeNamed(removing.id)} action={t.remove} danger busy={busy} problem={problem} close={() => remove(undefined)} run={async () => {
                if (await run(() => send('DELETE', p`/cluster/members/${removing.id}`))) {
                  remove(undefined)
                  toast(t.removed)
                  cluster.reload()
                }
              }}>
                <p>{t.removeNodeText(c.members.filter((m) => m.voter && m.status && m.id !== removing.id).length, c.members.filter((m) => m.voter && m.id !== removing.id).length)}</p>
              </Confirm>
            )}
          </>
        )}
      </Content>
    </>
  )
}

function NodeState({ of, leader }: { of: Member; leader: string }) {
  if (!of.status) return <><Badge tone="bad">{t.notResponding}</Badge> {of.problem}</>
  return <Badge tone="good">{of.id === leader ? t.leader : of.voter ? t.follower : t.nonVoter}</Badge>
}
