// Attempts over time. Each drawing has its content in words, and as a table.

import { useState } from 'preact/hooks'
import { get, type Series, type Strips } from './api'
import { date, duration, number, when } from './format'
import { useLoad } from './load'
import { t } from './text'
import { Card, Content, Select, Table } from './ui'

const ranges: Record<string, { hours: number; period: string }> = {
  '1h': { hours: 1, period: 'FiveMinutes' }, '6h': { hours: 6, period: 'FiveMinutes' }, '2d': { hours: 47, period: 'FiveMinutes' },
  '7d': { hours: 7 * 24, period: 'OneHour' }, '28d': { hours: 28 * 24, period: 'OneHour' }, '90d': { hours: 89 * 24, period: 'OneHour' },
}

// Activity shows the attempts that a path of the API counts.
export function Activity({ path }: { path: string }) {
  const [range, setRange] = useState('6h')
  const { hours, period } = ranges[range]!
  const series = useLoad((signal) => get<Series>(path, { period, startDate: new Date(Date.now() - hours * 3600_000).toISOString() }, signal), [path, range], 30)
  return (
    <Card title={t.activity}>
      <Select label={t.period} value={range} set={setRange} options={Object.keys(ranges).map((r) => [r, t.ranges[r as keyof typeof t.ranges]])} />
      <Content of={series}>{(s) => <Plots of={s} />}</Content>
    </Card>
  )
}

function Plots({ of }: { of: Series }) {
  const [open, setOpen] = useState(false)
  const { successCount, failureCount, canceledCount, attemptLatency } = of.data
  const { success, failure, canceled, attemptLatency: latency } = of.total
  const step = (new Date(of.endDate).getTime() - new Date(of.startDate).getTime()) / (successCount.length || 1)
  const time = (i: number) => date(new Date(of.startDate).getTime() + i * step)
  return (
    <>
      <p>{t.activitySummary(number(success), number(failure), number(canceled))}{latency.p50 !== null && ' ' + t.latencySummary(...[latency.p50, latency.p95, latency.p99].map((ms) => duration(ms ?? 0)) as [string, string, string])}</p>
      <Bars success={successCount} failure={failureCount} canceled={canceledCount} />
      <Lines lists={[attemptLatency.p50, attemptLatency.p95]} />
      <div class="scale" aria-hidden="true"><span>{when(of.startDate)}</span><span>{when(of.endDate)}</span></div>
      <details onToggle={(e) => setOpen(e.currentTarget.open)}>
        <summary>{t.asTable}</summary>
        {open && <Table caption={t.activity} rows={successCount.map((_, i) => i).filter((i) => successCount[i]! + failureCount[i]! + canceledCount[i]! > 0)} id={String} columns={[
          { name: t.time, show: (i) => time(i) },
          { name: t.outcome.success, show: (i) => number(successCount[i]!) },
          { name: t.outcome.fail, show: (i) => number(failureCount[i]!) },
          { name: t.outcome.canceled, show: (i) => number(canceledCount[i]!) },
          { name: 'p50', show: (i) => latencyText(attemptLatency.p50[i]) },
          { name: 'p95', show: (i) => latencyText(attemptLatency.p95[i]) },
          { name: 'p99', show: (i) => latencyText(attemptLatency.p99[i]) },
        ]} />}
      </details>
    </>
  )
}

const latencyText = (ms: number | null | undefined): string => (ms === null || ms === undefined ? '–' : duration(ms))

const most = 1000 // columns of a drawing, which has no more pixels; each is for as many periods as it takes

const widthOf = (periods: number): number => Math.ceil(periods / most)

// y is the place of a value, with a tenth of a percent: more would only take longer.
const y = (value: number, highest: number): number => Math.round(1000 - 1000 * value / highest) / 10

interface BarsProps {
  success: number[]
  failure: number[]
  canceled: number[]
}

// Bars are stacked, failures on top: one path for each outcome, however many bars there are.
function Bars({ success, failure, canceled }: BarsProps) {
  const width = widthOf(success.length)
  const [good, ended, bad] = [success, canceled, failure].map((list) => sums(list, width)) as [number[], number[], number[]]
  const highest = good.reduce((n, _, i) => Math.max(n, good[i]! + ended[i]! + bad[i]!), 1)
  const paths = ['', '', '']
  for (let i = 0; i < good.length; i++) {
    let below = 0
    for (const [k, list] of [good, ended, bad].entries()) {
      const n = list[i]!
      if (n > 0) {
        const h = Math.max(Math.round(1000 * n / highest) / 10, 1.5) // a single failure among thousands is seen
        paths[k] += `M${i * width} ${y(below, highest)}v-${h}h${0.85 * width}v${h}z`
      }
      below += n
    }
  }
  return (
    <div class="plot" aria-hidden="true">
      <span class="top-value">{number(highest)}</span>
      <svg viewBox={`0 0 ${success.length} 100`} preserveAspectRatio="none">
        {['success', 'canceled', 'failure'].map((name, k) => <path key={name} class={name} d={paths[k]} />)}
      </svg>
    </div>
  )
}

// sums adds every so many numbers up.
function sums(list: number[], width: number): number[] {
  const result: number[] = []
  for (let i = 0; i < list.length; i++) {
    if (i % width === 0) result.push(0)
    result[result.length - 1]! += list[i]!
  }
  return result
}

// Lines are latencies in milliseconds. A period without any interrupts them. Where several share a
// column, the line goes from the highest to the lowest.
function Lines({ lists }: { lists: (number | null)[][] }) {
  const highest = lists.flat().reduce((max: number, n) => Math.max(max, n ?? 0), 0)
  if (highest === 0) return null
  const length = lists[0]!.length, width = widthOf(length)
  const line = (list: (number | null)[]) => {
    let path = '', down = false
    for (let i = 0; i < length; i += width) {
      let high = -1, low = Infinity
      for (let k = i; k < i + width; k++) {
        const n = list[k] ?? null
        if (n === null) continue
        high = Math.max(high, n)
        low = Math.min(low, n)
      }
      if (high >= 0) path += down ? `L${i + width / 2} ${y(high, highest)}` : `M${i} ${y(high, highest)}h${0.9 * width}`
      if (high > low) path += `V${y(low, highest)}`
      down = high >= 0
    }
    return path
  }
  return (
    <div class="plot low" aria-hidden="true">
      <span class="top-value">{duration(highest)}</span>
      <svg viewBox={`0 0 ${length} 100`} preserveAspectRatio="none">
        {lists.map((list, i) => <path key={i} class={i === 0 ? 'middle' : 'high'} d={line(list)} />)}
      </svg>
    </div>
  )
}

// useStrips reads the last 24 hours of several endpoints or applications at once, by ID.
export function useStrips(path: string, name: string, ids: string[]): Map<string, Strips['data'][number]> {
  const strips = useLoad<Strips | undefined>(
    async (signal) => ids.length === 0 ? undefined : get<Strips>(path, { [name]: ids.join(','), period: 'OneHour', startDate: new Date(Date.now() - 23 * 3600_000).toISOString() }, signal),
    [path, ids.join(',')], 60)
  return new Map(strips.data?.data.map((s) => [s.id, s]))
}

// Strip has a cell for each hour.
export function Strip({ of }: { of: Strips['data'][number] | undefined }) {
  if (!of) return <span>–</span>
  return (
    <>
      <span class="strip" aria-hidden="true">
        {of.successCount.map((n, i) => <i key={i} class={of.failureCount[i]! > 0 ? (n > 0 ? 'some' : 'failure') : n > 0 ? 'success' : ''} />)}
      </span>
      <span class="hidden">{t.activitySummary(number(of.total.success), number(of.total.failure), number(of.total.canceled))}</span>
    </>
  )
}
