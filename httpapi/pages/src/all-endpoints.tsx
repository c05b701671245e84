// The endpoints of all applications, by their state.

import { get, type ByHealth } from './api'
import { useLoad } from './load'
import { columns } from './overview'
import { setQuery, usePlace } from './router'
import { t } from './text'
import { Content, Empty, Pager, Select, Table, Title } from './ui'

export function AllEndpoints() {
  const { query } = usePlace()
  const iterator = query.get('iterator') ?? '', health = query.get('health') ?? ''
  const list = useLoad((signal) => get<ByHealth>('/endpoint', { health, iterator, limit: 50 }, signal), [iterator, health], 10)
  return (
    <>
      <Title>{t.endpoints}</Title>
      <form class="filters" aria-label={t.filter} onSubmit={(e) => e.preventDefault()}>
        <Select label={t.state} value={health} set={(to) => setQuery({ health: to, iterator: '' })}
          options={[['', t.all], ...Object.entries(t.health), ['blocked', t.blocked]]} />
      </form>
      <Content of={list}>
        {(page) => page.data.length === 0
          ? <Empty><p>{health ? t.noMatches : t.noEndpoints}</p></Empty>
          : (
            <>
              <Table caption={t.endpoints} rows={page.data} id={(e) => e.id} columns={columns} />
              <Pager iterator={page.iterator} done={page.done} first={iterator === ''} />
            </>
          )}
      </Content>
    </>
  )
}
