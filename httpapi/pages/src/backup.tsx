// A backup, written to a file as it arrives. The token is in a header, so no link to it exists.

import { useEffect, useRef, useState } from 'preact/hooks'
import { open, Problem } from './api'
import { bytes } from './format'
import { asProblem } from './load'
import { t } from './text'
import { Button, Card, Failure, toast } from './ui'

const inMemory = 1 << 30 // bytes that browsers without a choice of files may take

interface Target {
  file: WritableStream<Uint8Array<ArrayBuffer>>
  finish: () => void
}

type Picker = (options: { suggestedName: string }) => Promise<{ createWritable: () => Promise<WritableStream<Uint8Array<ArrayBuffer>>> }>

export function BackupCard() {
  const [progress, setProgress] = useState<{ done: number; total: number } | undefined>()
  const [problem, setProblem] = useState<Problem | undefined>()
  const control = useRef<AbortController | undefined>(undefined)
  useEffect(() => () => control.current?.abort(), [])
  const run = async () => {
    const own = (control.current = new AbortController())
    setProblem(undefined)
    try {
      if (await download(own.signal, (done, total) => setProgress({ done, total }))) toast(t.backupDone)
    } catch (e) {
      if (!own.signal.aborted) setProblem(asProblem(e))
    } finally {
      setProgress(undefined)
    }
  }
  return (
    <Card title={t.backup}>
      <p>{t.backupText}</p>
      <Failure problem={problem} />
      {progress && (
        <>
          <progress value={progress.done} max={progress.total} aria-label={t.progress} />
          <p>{t.sizeOf(bytes(progress.done), bytes(progress.total))}</p>
        </>
      )}
      <div class="actions">
        {progress ? <Button onClick={() => control.current?.abort()}>{t.cancel}</Button> : <Button onClick={() => void run()}>{t.downloadBackup}</Button>}
      </div>
    </Card>
  )
}

// download reports whether a file was written: the reader may choose none.
async function download(signal: AbortSignal, progress: (done: number, total: number) => void): Promise<boolean> {
  const name = `hookwheel-${new Date().toISOString().slice(0, 10)}.backup`
  const picker = (window as { showSaveFilePicker?: Picker }).showSaveFilePicker
  let chosen: Target | undefined
  if (picker) {
    const handle = await picker({ suggestedName: name }).catch(() => undefined)
    if (!handle) return false
    chosen = { file: await handle.createWritable(), finish: () => undefined }
  }
  const response = await open('/cluster/backup', signal)
  const total = Number(response.headers.get('Content-Length') ?? 0)
  if (!chosen && total > inMemory) {
    void response.body!.cancel()
    throw new Problem(-1, 'too_large', '')
  }
  const target = chosen ?? memoryFile(name)
  let done = 0, shown = 0
  const counted = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(chunk, to) {
      done += chunk.length
      if (Date.now() - shown > 200) progress(done, total), (shown = Date.now())
      to.enqueue(chunk)
    },
  })
  progress(0, total)
  await response.body!.pipeThrough(counted).pipeTo(target.file, { signal })
  if (done !== total) throw new Problem(-1, 'cut_off', '')
  target.finish()
  return true
}

// memoryFile collects a file in memory, where the browser has no way to write one piece by piece.
function memoryFile(name: string): Target {
  const parts: Uint8Array<ArrayBuffer>[] = []
  return {
    file: new WritableStream({ write: (chunk) => void parts.push(chunk) }),
    finish: () => {
      const link = document.createElement('a')
      link.href = URL.createObjectURL(new Blob(parts, { type: 'application/octet-stream' }))
      link.download = name
      link.click()
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
    },
  }
}
