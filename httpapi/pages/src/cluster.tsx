// The nodes: who leads, how far behind each is, and how much room it has.

import { useState } from 'preact/hooks'
import { get, p, send, type Cluster } from './api'
import { BackupCard } from './backup'
import { useReader } from './context'
import { bytes, duration, number } from './format'
import { JoinDialog } from './join'
import { useAction, useLoad } from './load'
import { Link } from './router'
import { t } from './text'
import { Ago, Badge, Button, Card, Confirm, Content, Fact, Facts, Mono, Table, Title, toast } from './ui'

type Member = Cluster['members'][number]
type Asked = { what: 'lead' | 'remove'; member: Member }

export function ClusterPage() {
  const admin = useReader().may('ManageEndpoint')
  const cluster = useLoad((signal) => get<Cluster>('/cluster', {}, signal), [], 3)
  const [asked, ask] = useState<Asked | undefined>()
  const [joining, join] = useState(false)
  return (
    <>
      <Title actions={<><Link to="/cluster/configuration">{t.configuration}</Link>{admin && <Button kind="main" onClick={() => join(true)}>{t.addNode}</Button>}</>}>{t.cluster}</Title>
      <Content of={cluster}>
        {(c) => (
          <>
            {c.waiting && <p class="notice">{c.waiting}</p>}
            {!c.leader && <p class="notice" role="alert">{t.noLeader}</p>}
            <Card>
              <Summary of={c} />
              <Nodes of={c} ask={admin && c.members.length > 1 ? ask : undefined} />
            </Card>
            {asked && <Asking of={asked} cluster={c} close={() => ask(undefined)} done={cluster.reload} />}
            {joining && <JoinDialog members={c.members} close={() => { join(false); cluster.reload() }} />}
          </>
        )}
      </Content>
      {admin && <BackupCard />}
    </>
  )
}

function Summary({ of }: { of: Cluster }) {
  const voters = of.members.filter((m) => m.voter)
  const alive = voters.filter((m) => m.status).length
  const spare = alive - Math.floor(voters.length / 2) - 1
  return (
    <Facts>
      <Fact name={t.leader}>{of.leader || '–'}</Fact>
      <Fact name={t.votingNodes}>{t.ofThem(alive, voters.length)}</Fact>
      <Fact name={t.reserve}>{spare < 0 ? <Badge tone="bad">{t.noMajority}</Badge> : t.mayFail(spare)}</Fact>
      <Fact name="ID"><Mono>{of.cluster || '–'}</Mono></Fact>
    </Facts>
  )
}

// committed is how far the log of the cluster is, as far as any node knows.
const committed = (c: Cluster): number => Math.max(0, ...c.members.map((m) => m.status?.commitIndex ?? 0))

function Nodes({ of: c, ask }: { of: Cluster; ask: ((asked: Asked) => void) | undefined }) {
  return (
    <Table caption={t.nodes} rows={c.members} id={(m) => m.server} columns={[
      { name: t.node, show: (m) => <><b>{m.id}</b>{m.id === c.node && <> <span class="soft">{t.thisNode}</span></>}<br /><Mono>{m.address}</Mono></> },
      { name: t.state, show: (m) => <NodeState of={m} leader={c.leader} /> },
      { name: t.behind, wide: true, show: (m) => m.status ? <Lag of={m.status} entries={committed(c) - m.status.appliedIndex} /> : '–' },
      { name: t.freeSpace, show: (m) => m.status ? <Space of={m.status} /> : '–' },
      { name: t.version, show: (m) => m.status?.version ?? '–' },
      { name: t.lastSeen, show: (m) => <Ago at={m.lastSeen} /> },
      ...(ask ? [{
        name: t.action, show: (m: Member) => (
          <span class="actions">
            {m.id !== c.leader && m.voter && <Button onClick={() => ask({ what: 'lead', member: m })} aria-label={t.makeLeaderNamed(m.id)}>{t.makeLeader}</Button>}
            <Button kind="danger" onClick={() => ask({ what: 'remove', member: m })} aria-label={t.removeNamed(m.id)}>{t.remove}</Button>
          </span>
        ),
      }] : []),
    ]} />
  )
}

function NodeState({ of, leader }: { of: Member; leader: string }) {
  const s = of.status
  if (!s) return <><Badge tone="bad">{t.notResponding}</Badge> <span lang="en">{of.problem}</span></>
  return (
    <>
      <Badge tone="good">{of.id === leader ? t.leader : of.voter ? t.follower : t.nonVoter}</Badge>
      {s.slowDisk && <><br /><Badge tone="wait">{t.slowDisk}</Badge></>}
      {Math.abs(s.clockAheadMillis ?? 0) >= 1000 && <><br /><Badge tone="wait">{t.clockAhead(duration(Math.abs(s.clockAheadMillis!)), s.clockAheadMillis! > 0)}</Badge></>}
    </>
  )
}

type Status = NonNullable<Member['status']>

function Lag({ of, entries }: { of: Status; entries: number }) {
  if (of.receivedBytes) return <>{t.receiving(bytes(of.receivedBytes))}</>
  return <>{entries <= 0 ? t.upToDate : t.entries(entries, number(entries))}{of.toSendBytes ? <><br />{t.sending(bytes(of.sentBytes ?? 0), bytes(of.toSendBytes))}</> : null}</>
}

function Space({ of }: { of: Status }) {
  const low = of.freeBytes < of.minFreeBytes
  return <>{low ? <Badge tone="bad">{bytes(of.freeBytes)}</Badge> : bytes(of.freeBytes)}<br /><span class="soft">{t.neededSpace(bytes(of.minFreeBytes))}</span></>
}

interface AskingProps {
  of: Asked
  cluster: Cluster
  close: () => void
  done: () => void
}

// Asking says what a change of the nodes will do before it is made.
function Asking({ of: { what, member }, cluster, close, done }: AskingProps) {
  const { busy, problem, run } = useAction()
  const title = what === 'lead' ? t.makeLeaderNamed(member.id) : t.removeNamed(member.id)
  const change = async () => {
    const ok = await run(() => what === 'lead' ? send('POST', '/cluster/transfer', { to: member.id }) : send('DELETE', p`/cluster/members/${member.id}`))
    if (!ok) return
    close()
    toast(what === 'lead' ? t.transferred : t.removed)
    done()
  }
  const rest = cluster.members.filter((m) => m.voter && m.id !== member.id)
  const behind = member.status ? Math.max(0, committed(cluster) - member.status.appliedIndex) : 0
  return (
    <Confirm title={title} action={what === 'lead' ? t.makeLeader : t.remove} danger={what === 'remove'} busy={busy} problem={problem} close={close} run={change}>
      {what === 'lead' ? <p>{t.leadText(behind, number(behind))}</p> : (
        <>
          <p>{t.removeNodeText(rest.filter((m) => m.status).length, rest.length)}</p>
          <p>{t.removeNodeAfter(cluster.members.length - 1)}</p>
        </>
      )}
    </Confirm>
  )
}
