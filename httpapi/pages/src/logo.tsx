// Logos: an image of the reader, made small enough to be part of the settings, or a URL.

import { useState } from 'preact/hooks'
import type { Told } from './api'
import { bytes } from './format'
import { t } from './text'
import { Button, Field } from './ui'

const largest = 32 << 10 // characters of the URL, as the server limits it
const sizes: [width: number, height: number][] = [[480, 96], [320, 64], [160, 40], [80, 32]]

interface LogoInputProps {
  label: string
  value: string | null
  set: (value: string | null) => void
  error: Told | undefined
}

export function LogoInput({ label, value, set, error }: LogoInputProps) {
  const [wrong, setWrong] = useState('')
  const choose = async (input: HTMLInputElement) => {
    const file = input.files?.[0]
    input.value = '' // so that the same file can be chosen again
    if (!file) return
    try {
      set(await shrink(file))
      setWrong('')
    } catch {
      setWrong(t.noImage)
    }
  }
  const image = value?.startsWith('data:')
  return (
    <Field label={label} hint={image ? t.logoSize(bytes(value!.length)) : t.logoHint} error={wrong || error}>
      {(props) => (
        <>
          {!image && <input type="url" value={value ?? ''} placeholder="https://" autocomplete="off" spellcheck={false} onInput={(e) => set(e.currentTarget.value.trim() || null)} {...props} />}
          <span class="actions">
            <input type="file" accept="image/png,image/jpeg,image/gif,image/webp" aria-label={t.chooseFile(label)} onChange={(e) => void choose(e.currentTarget)} {...(image ? props : {})} />
            {value && <Button onClick={() => set(null)} aria-label={t.clearNamed(label)}>{t.clear}</Button>}
          </span>
        </>
      )}
    </Field>
  )
}

// shrink draws an image in the largest size that fits. What else its file has is left behind.
async function shrink(file: File): Promise<string> {
  const image = await createImageBitmap(file)
  for (const [width, height] of sizes) {
    const scale = Math.min(width / image.width, height / image.height, 1)
    const canvas = document.createElement('canvas')
    canvas.width = Math.max(1, Math.round(image.width * scale))
    canvas.height = Math.max(1, Math.round(image.height * scale))
    canvas.getContext('2d')!.drawImage(image, 0, 0, canvas.width, canvas.height)
    const url = canvas.toDataURL('image/png')
    if (url.length <= largest) return url
  }
  throw new Error('the image is too large')
}
