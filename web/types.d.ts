// What the pack uses of ComfyUI's frontend. For the type checker only; no page loads this file.

declare module '*/scripts/app.js' {
  export const app: ComfyApp
}

declare module '*/scripts/api.js' {
  export const api: ComfyApi
}

declare var LiteGraph: { vueNodesMode?: boolean } | undefined
declare var LGraphCanvas: { link_type_colors?: Record<string, string> } | undefined

interface ComfyApp {
  canvas?: ComfyCanvas
  /** What each node showed in its last run, by locator. */
  nodeOutputs?: Record<string, NodeOutput | undefined>
  registerExtension(extension: ComfyExtension): void
}

interface ComfyExtension {
  name: string
  init?(): void
  setup?(): void
  getCustomWidgets?(): Record<string, WidgetConstructor>
  nodeCreated?(node: ComfyNode): void
  beforeRegisterNodeDef?(nodeType: unknown, nodeData: NodeDefinition): void
}

interface NodeDefinition {
  name: string
  input: Record<'required' | 'optional', Record<string, [string, object?]> | undefined>
}

interface ComfyApi {
  apiURL(route: string): string
  fetchApi(route: string, options?: RequestInit): Promise<Response>
  addEventListener(type: string, listener: (event: Event) => void): void
  removeEventListener(type: string, listener: (event: Event) => void): void
}

interface ComfyCanvas {
  read_only?: boolean
  default_connection_color_byType?: Record<string, string>
  emitBeforeChange?(): void
  emitAfterChange?(): void
  processMouseWheel(event: WheelEvent): void
  processMouseDown(event: PointerEvent): void
  processMouseMove(event: PointerEvent): void
  processMouseUp(event: PointerEvent): void
}

interface ComfyGraph {
  id: string
  rootGraph?: ComfyGraph
  subgraphs?: Map<string, ComfyGraph>
  nodes: ComfyNode[]
  /** Of a subgraph. */
  inputs?: { name: string }[]
  outputs?: { linkIds?: number[] }[]
  getNodeById(id: number | string): ComfyNode | null
  getLink(id: number): ComfyLink | null
  setDirtyCanvas?(foreground: boolean, background: boolean): void
}

interface ComfyLink {
  origin_id: number | string
  origin_slot: number
}

interface ComfyNode {
  id: number | string
  type: string
  comfyClass?: string
  mode?: number
  graph?: ComfyGraph | null
  /** Of a node that shows a subgraph. */
  subgraph?: ComfyGraph
  size: [number, number]
  inputs?: { name: string; type: string; link?: number | null; widget?: { name: string } }[]
  outputs?: { name: string; type: string }[]
  widgets?: ComfyWidget[]
  hideOutputImages?: boolean
  onAdded?(): void
  onRemoved?(): void
  onConnectionsChange?(): void
  onExecuted?(output?: NodeOutput): void
  onDrawBackground?(): void
  getInputLink(slot: number): ComfyLink | null
  isInputConnected(slot: number): boolean
  disconnectInput(slot: number): void
  connect(slot: number, target: ComfyNode, input: number): void
  addDOMWidget(
    name: string,
    type: string,
    element: HTMLElement,
    options: DomWidgetOptions
  ): ComfyWidget
  removeWidget?(widget: ComfyWidget): void
}

interface ComfyWidget {
  name: string
  type?: string
  value: unknown
  serialize?: boolean
  /** Of a DOM widget. */
  element?: HTMLElement
  /** The widgets that belong to it, such as the one that changes it after a run. */
  linkedWidgets?: ComfyWidget[]
  callback?(value: unknown): void
}

interface DomWidgetOptions {
  getValue?(): string
  setValue?(value: string | null | undefined): void
  getMinHeight?(): number
  getMaxHeight?(): number
  onDraw?(widget: ComfyWidget): void
  hideOnZoom?: boolean
  /** Of the frontend's side panel. */
  hideInPanel?: boolean
  serialize?: boolean
}

type WidgetConstructor = (
  node: ComfyNode,
  name: string
) => { widget: ComfyWidget; minWidth?: number; minHeight?: number }

/** A file that ComfyUI serves at /view. */
interface StoredFile {
  filename: string
  subfolder?: string
  type?: string
}

interface NodeOutput {
  images?: StoredFile[]
  idpatch_faces?: FacesReport[]
  idpatch_photos?: PhotosReport[]
  idpatch_verdicts?: VerdictReport[]
  idpatch_best?: { index: number; reasons: string[] }[]
  idpatch_tries?: { outcome: string; tries: string[]; best: number }[]
  idpatch_report?: StoredFile[]
  idpatch_placer?: PlacerReport[]
  /** What nodes/ warns of. */
  idpatch_warnings?: string[]
}

/** What nodes/ reports of the faces that a node used. */
interface FacesReport {
  faces?: { name: string; score?: number | null; crop?: StoredFile | null }[]
  warnings?: string[]
}

/** What nodes/verify.py reports of each image. */
interface VerdictReport {
  scorer: string
  images: {
    all_correct: boolean
    people: {
      name: string
      similarity: number | null
      correct: boolean
      verdict: string
      reference: StoredFile | null
      face: StoredFile | null
    }[]
  }[]
}

/** The faces that nodes/people.py found, by the photo's file: boxes normalised to the photo. */
type PhotosReport = Record<
  string,
  { width: number; height: number; faces: [number, number, number, number][] } | undefined
>

/** What nodes/placer.py reports of its last run; points as [x, y] in output pixels. */
interface PlacerReport {
  version: number
  width: number
  height: number
  people: { name: string; crop: StoredFile | null }[]
  base: StoredFile | null
  poses?: [number, number][]
  /** The joints of all poses, null where not seen. */
  skeletons?: ([number, number] | null)[][]
  /** For each of `poses`, the index of its skeleton. */
  pose_people?: number[]
  reference?: StoredFile | null
  faces?: [number, number][]
  patch_size?: number
  head_patches?: [number, number, number][]
  warnings: string[]
}
