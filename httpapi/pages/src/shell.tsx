// The frame of all pages of a door: name, navigation, and what happens without a valid token.

import { render, type ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { get, setToken, type Whoami } from './api'
import { bare } from './embed'
import { keepFocus } from './focus'
import { startLive, useConnection } from './live'
import { useLoad } from './load'
import { Link, startRouter, usePlace } from './router'
import { findRefresh, isToken, openSession, saveApplication, saveSession } from './session'
import { t } from './text'
import { brand } from './theme'
import { Badge, Button, Content, TextInput, Title, Toasts } from './ui'

export interface NavItem {
  to: string
  text: string
}

interface FrameProps {
  nav: NavItem[]
  path?: string // of the page, if another than the address says
  children: ComponentChildren
  end?: ComponentChildren
}

// Frame has the navigation. The current item is the one that the path begins with.
export function Frame({ nav, path, children, end }: FrameProps) {
  const { path: place } = usePlace()
  const at = path ?? place
  const current = nav.filter((n) => at === n.to || at.startsWith(n.to + '/')).sort((a, b) => b.to.length - a.to.length)[0]
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.querySelector<HTMLElement>('main h1')?.focus() }}>{t.skip}</a>
      {!bare && (
        <header class="top">
          <Brand />
          <nav aria-label={t.navigation}>
            {nav.map((n) => <Link key={n.to} to={n.to} aria-current={n === current ? 'page' : undefined}>{n.text}</Link>)}
          </nav>
          {nav.length > 0 && <Connection />}
          {end}
        </header>
      )}
      {bare && nav.length > 0 && <Connection quiet />}
      <main id="main">{children}</main>
      <Toasts />
    </div>
  )
}

function Brand() {
  const [broken, setBroken] = useState('')
  useEffect(() => setBroken(''), [brand.logo])
  const logos = broken === brand.logo ? [] : [['on-light', brand.logo], ['on-dark', brand.logoDark]].filter(([, src]) => src)
  return (
    <span class="brand" dir="auto">
      {logos.map(([on, src]) => <img key={on} class={on} src={src} alt="" onError={() => setBroken(brand.logo)} />)}
      <span>{brand.name}</span>
    </span>
  )
}

const tones = { connecting: 'off', open: 'good', lost: 'wait', polling: 'wait' } as const

// Connection says whether the page is live. Where the parent has its own frame, only if it is not.
function Connection({ quiet = false }: { quiet?: boolean }) {
  const now = useConnection()
  const hidden = now === 'connecting' || quiet && now === 'open'
  return <p class="connection" role="status" title={t.connectionHint[now]}>{!hidden && <Badge tone={tones[now]}>{t.connection[now]}</Badge>}</p>
}

interface StartProps {
  door: string // path: /portal or /console
  wrong: (who: Whoami) => string | undefined // why this token is not for this door
  signIn: boolean // whether a token can be typed in
  prepare?: (signal: AbortSignal) => Promise<void> // before the pages are shown
  page: (who: Whoami, signOut: () => void) => ComponentChildren
}

// start draws the pages of a door.
export function start(props: StartProps): void {
  startRouter(props.door)
  const area = document.getElementById('app')!
  keepFocus(area)
  render(<Door {...props} token={openSession(props.door)} />, area)
}

function Door({ door, wrong, signIn, prepare, page, token }: StartProps & { token: string }) {
  const [current, setCurrent] = useState(token)
  const [ended, setEnded] = useState(false)
  const typed = useRef(false) // whether the token was typed in, and has not opened the door yet
  const end = () => {
    saveSession(door, null)
    setEnded(true)
    setCurrent('')
  }
  const use = (value: string) => {
    typed.current = true
    if (isToken(value)) saveSession(door, value)
    setEnded(!isToken(value))
    setCurrent(isToken(value) ? value : '')
  }
  if (current === '') return <Outside door={door} ended={ended && (typed.current ? t.wrongToken : t.sessionEnded)} signIn={signIn} use={use} />
  setToken(current, end)
  return <Inside key={current} wrong={wrong} prepare={prepare} page={page} opened={() => (typed.current = false)} signOut={() => { saveSession(door, null); setCurrent('') }} />
}

type InsideProps = Pick<StartProps, 'wrong' | 'page'> & { prepare: StartProps['prepare'] | undefined; opened: () => void; signOut: () => void }

function Inside({ wrong, prepare, page, opened, signOut }: InsideProps) {
  const who = useLoad(async (signal) => {
    const [caller] = await Promise.all([get<Whoami>('/auth/whoami', {}, signal), prepare?.(signal)])
    opened()
    return caller
  }, [])
  const live = who.data && !wrong(who.data) ? who.data.id ?? who.data.role : ''
  useEffect(() => live === '' ? undefined : startLive(live), [live])
  useEffect(() => void (who.data?.applicationId && saveApplication(who.data.applicationId)), [who.data])
  if (!who.data) return <Frame nav={[]}><Content of={who} whole>{() => null}</Content></Frame>
  const why = wrong(who.data)
  if (why) return <Frame nav={[]}><Title>{t.wrongToken}</Title><p>{why}</p><Button onClick={signOut}>{t.signOut}</Button></Frame>
  return <>{page(who.data, signOut)}</>
}

// Outside is what is shown without a token: how to get one.
function Outside({ door, ended, signIn, use }: { door: string; ended: string | false; signIn: boolean; use: (token: string) => void }) {
  const [value, set] = useState('')
  const [refresh, setRefresh] = useState('')
  const { path } = usePlace()
  useEffect(() => {
    if (signIn) return
    findRefresh(door, path).then(({ to, atOnce }) => atOnce ? location.assign(to) : setRefresh(to), () => undefined)
  }, [])
  return (
    <Frame nav={[]}>
      <Title>{ended || (signIn ? t.signIn : t.linkNeeded)}</Title>
      <p>{signIn ? t.signInText : ended ? t.sessionEndedText : t.linkNeededText}</p>
      {refresh !== '' && <p><a class="button main" href={refresh} target="_top">{t.newLink}</a></p>}
      {signIn && (
        <form onSubmit={(e) => { e.preventDefault(); use(value.trim()) }}>
          <TextInput label={t.token} type="password" value={value} set={set} required />
          <Button submit kind="main">{t.signIn}</Button>
        </form>
      )}
    </Frame>
  )
}
