// Numbers, times and sizes as the reader writes them.

import { locale, t } from './text'

const numbers = new Intl.NumberFormat(locale)
const dates = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' })
const clocks = new Intl.DateTimeFormat(locale, { timeStyle: 'medium' })
const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' })

export const number = (n: number): string => numbers.format(n)
export const date = (time: string | number | Date): string => dates.format(new Date(time))
export const utc = (time: string): string => new Date(time).toISOString().replace('T', ' ').replace('Z', ' UTC')

// when is short: the time of day if it was today.
export function when(time: string | number): string {
  const at = new Date(time)
  return at.toDateString() === new Date().toDateString() ? clocks.format(at) : dates.format(at)
}

const units: [Intl.RelativeTimeFormatUnit, number][] = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]]

// ago says how long ago, or how soon, a time is.
export function ago(time: string | number, now = Date.now()): string {
  const seconds = (new Date(time).getTime() - now) / 1000
  for (const [unit, size] of units) {
    if (Math.abs(seconds) >= size || size === 1) return relative.format(Math.round(seconds / size), unit)
  }
  return ''
}

// duration is for milliseconds.
export function duration(ms: number): string {
  if (ms < 1000) return t.milliseconds(number(Math.round(ms)))
  if (ms < 120_000) return t.seconds(number(Math.round(ms / 100) / 10))
  if (ms < 7_200_000) return t.minutes(number(Math.round(ms / 60_000)))
  if (ms < 172_800_000) return t.hours(number(Math.round(ms / 3_600_000)))
  return t.days(number(Math.round(ms / 86_400_000)))
}

const parts: [unit: 'day' | 'hour' | 'minute' | 'second', seconds: number][] = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]]

// span writes seconds in words, with the two largest units.
export function span(seconds: number): string {
  const first = parts.findIndex(([, size]) => seconds >= size)
  const shown = first < 0 ? [parts[3]!] : parts.slice(first, first + 2)
  let rest = Math.round(seconds)
  const words: string[] = []
  for (const [unit, size] of shown) {
    const n = Math.floor(rest / size)
    rest -= n * size
    if (n > 0 || first < 0) words.push(new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'long' }).format(n))
  }
  return words.join(' ')
}

// bytes uses the binary units of the rest of the product.
export function bytes(n: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let i = 0
  for (; n >= 1024 && i < names.length - 1; i++) n /= 1024
  return number(i === 0 ? n : Math.round(n * 10) / 10) + ' ' + names[i]
}

// fromNumberInput leaves what is not a number to the server, which says so.
export function fromNumberInput(value: string): number | null {
  const n = Number(value)
  return value.trim() === '' ? null : Number.isNaN(n) ? value as unknown as number : n
}

// toLocalInput and fromLocalInput are for inputs of the kind datetime-local, which have no zone.
export function toLocalInput(time: Date): string {
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

export function fromLocalInput(value: string): string {
  const time = new Date(value)
  return Number.isNaN(time.getTime()) ? '' : time.toISOString()
}
