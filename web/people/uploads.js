// Uploads photos to ComfyUI's input folder.

import { api } from '../../../scripts/api.js'

/** @type {(files: Iterable<File> | undefined | null) => File[]} */
export const imagesOf = (files) =>
  [...(files ?? [])].filter(({ type }) => type.startsWith('image/'))

/**
 * Uploads a photo and returns its name as Load Image has it; throws an Error that says what failed.
 * @type {(file: File) => Promise<string>}
 */
async function uploadPhoto(file) {
  const body = new FormData()
  body.append('image', file)
  const answer = await api.fetchApi('/upload/image', { method: 'POST', body })
  if (answer.status !== 200) {
    throw new Error(`${file.name} was not uploaded: ${answer.status} ${answer.statusText}.`)
  }
  const { name, subfolder } = await answer.json()
  return subfolder ? `${subfolder}/${name}` : name
}

/**
 * Uploads photos in their order; returns the names, and what failed.
 * @type {(files: File[]) => Promise<{names: string[], problems: string[]}>}
 */
export async function uploadPhotos(files) {
  const results = await Promise.allSettled(files.map(uploadPhoto))
  return {
    names: results.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])),
    problems: results.flatMap((one) =>
      one.status === 'rejected' ? [String(one.reason?.message ?? one.reason)] : []
    )
  }
}

/**
 * Asks for photos with the browser's dialog.
 * @param {(files: File[]) => void} chosen
 */
export function askForPhotos(chosen) {
  const input = document.createElement('input')
  input.type = 'file'
  input.accept = 'image/*'
  input.multiple = true
  input.addEventListener('change', () => chosen(imagesOf(input.files)))
  input.click()
}
