// The frame of all pages of a door: name, navigation, and what happens without a valid token.

import { render, type ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { get, setToken, type Whoami } from './api'
import { bare } from './embed'
import { useLoad } from './load'
import { Link, startRouter, usePlace } from './router'
import { openSession, saveSession } from './session'
import { t } from './text'
import { Button, Content, TextInput, Title, Toasts } from './ui'

export interface NavItem {
  to: string
  text: string
}

interface FrameProps {
  name: string
  nav: NavItem[]
  path?: string // of the page, if another than the address says
  children: ComponentChildren
  end?: ComponentChildren
}

// Frame has the navigation. The current item is the one that the path begins with.
export function Frame({ name, nav, path, children, end }: FrameProps) {
  const { path: place } = usePlace()
  const at = path ?? place
  const current = nav.filter((n) => at === n.to || at.startsWith(n.to + '/')).sort((a, b) => b.to.length - a.to.length)[0]
  return (
    <div class="shell">
      <a class="skip" href="#main">{t.skip}</a>
      {!bare && (
        <header class="top">
          <span class="brand" dir="auto">{name}</span>
          <nav aria-label={t.navigation}>
            {nav.map((n) => <Link key={n.to} to={n.to} aria-current={n === current ? 'page' : undefined}>{n.text}</Link>)}
          </nav>
          {end}
        </header>
      )}
      <main id="main">{children}</main>
      <Toasts />
    </div>
  )
}

interface StartProps {
  door: string // path: /portal or /console
  wrong: (who: Whoami) => string | undefined // why this token is not for this door
  signIn: boolean // whether a token can be typed in
  page: (who: Whoami, signOut: () => void) => ComponentChildren
}

// start draws the pages of a door.
export function start(props: StartProps): void {
  startRouter(props.door)
  render(<Door {...props} token={openSession(props.door)} />, document.getElementById('app')!)
}

function Door({ door, wrong, signIn, page, token }: StartProps & { token: string }) {
  const [current, setCurrent] = useState(token)
  const [ended, setEnded] = useState(false)
  const end = () => {
    saveSession(door, null)
    setEnded(true)
    setCurrent('')
  }
  if (current === '') return <Outside ended={ended} signIn={signIn} use={(value) => { saveSession(door, value); setEnded(false); setCurrent(value) }} />
  setToken(current, end)
  return <Inside key={current} wrong={wrong} page={page} signOut={() => { saveSession(door, null); setCurrent('') }} />
}

function Inside({ wrong, page, signOut }: Pick<StartProps, 'wrong' | 'page'> & { signOut: () => void }) {
  const who = useLoad((signal) => get<Whoami>('/auth/whoami', {}, signal), [])
  if (!who.data) return <Frame name="Hookwheel" nav={[]}><Content of={who}>{() => null}</Content></Frame>
  const why = wrong(who.data)
  if (why) return <Frame name="Hookwheel" nav={[]}><Title>{t.wrongToken}</Title><p>{why}</p><Button onClick={signOut}>{t.signOut}</Button></Frame>
  return <>{page(who.data, signOut)}</>
}

// Outside is what is shown without a token: how to get one.
function Outside({ ended, signIn, use }: { ended: boolean; signIn: boolean; use: (token: string) => void }) {
  const [value, set] = useState('')
  return (
    <Frame name="Hookwheel" nav={[]}>
      <Title>{ended ? t.sessionEnded : signIn ? t.signIn : t.linkNeeded}</Title>
      <p>{signIn ? t.signInText : ended ? t.sessionEndedText : t.linkNeededText}</p>
      {signIn && (
        <form onSubmit={(e) => { e.preventDefault(); use(value.trim()) }}>
          <TextInput label={t.token} type="password" value={value} set={set} required />
          <Button submit kind="main">{t.signIn}</Button>
        </form>
      )}
    </Frame>
  )
}
