// The configuration of the responding node, without secrets.

import { useState } from 'preact/hooks'
import { get, type Configuration } from './api'
import { useLoad } from './load'
import { Link } from './router'
import { t } from './text'
import { Card, Check, Content, Mono, Table, Title } from './ui'

type Setting = Configuration['data'][number]

export function ConfigurationPage() {
  const [changed, onlyChanged] = useState(false)
  const configuration = useLoad((signal) => get<Configuration>('/cluster/configuration', {}, signal), [])
  return (
    <>
      <p class="crumbs"><Link to="/cluster">{t.cluster}</Link> ›</p>
      <Title>{t.configuration}</Title>
      <Content of={configuration}>
        {({ node, data }) => (
          <>
            <p>{t.configurationText(node)}</p>
            <Check label={t.onlyChanged} value={changed} set={onlyChanged} />
            {blocksOf(changed ? data.filter((s) => !s.default) : data).map(([block, settings]) => (
              <Card key={block} title={block || t.general}>
                <Table caption={block || t.general} rows={settings} id={(s) => s.name} columns={[
                  { name: t.name, wide: true, show: (s) => <Mono>{s.name}</Mono> },
                  { name: t.value, wide: true, show: (s) => <Value of={s} /> },
                  { name: t.origin, show: (s) => s.source ? <Mono>{s.source}</Mono> : t.byDefault },
                ]} />
              </Card>
            ))}
          </>
        )}
      </Content>
    </>
  )
}

function Value({ of }: { of: Setting }) {
  if (of.value === '') return <span class="soft">{t.notSet}</span>
  return of.secret ? <span class="soft">{t.secretSet}</span> : <Mono>{of.value}</Mono>
}

function blocksOf(data: Setting[]): [block: string, settings: Setting[]][] {
  const blocks = new Map<string, Setting[]>()
  for (const setting of data) {
    const block = setting.name.slice(0, Math.max(0, setting.name.indexOf('.')))
    blocks.set(block, [...(blocks.get(block) ?? []), setting])
  }
  return [...blocks]
}
