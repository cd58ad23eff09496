// gossip.mjs GOSSIP_PEER: three of ours and three of js-libp2p in a ring, ours and theirs in turn, so that every
// message has to be relayed by both. With signatures and without. Prints one line per check and ends with status 0
// only when all hold.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'

// node has it from version 22 on.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((yes, no) => { resolve = yes; reject = no })
  return { promise, resolve, reject }
}

const { createLibp2p } = await import('libp2p')
const { tcp } = await import('@libp2p/tcp')
const { noise } = await import('@libp2p/noise')
const { yamux } = await import('@libp2p/yamux')
const { identify } = await import('@libp2p/identify')
const { gossipsub, StrictSign, StrictNoSign } = await import('@libp2p/gossipsub')
const { multiaddr } = await import('@multiformats/multiaddr')

const TOPIC = 'kith-interop'
const STEP_MS = 60_000
const PAIRS = 3

let failures = 0
function check (sentence, good, detail = '') {
  console.log(`${good ? 'ok' : 'not ok'} - ${sentence}${good || detail === '' ? '' : ': ' + detail}`)
  if (!good) failures++
}

const tick = () => new Promise(resolve => setTimeout(resolve, 100))

// Waits until `holds()` is true; false when it is not within STEP_MS.
async function until (holds) {
  for (const end = Date.now() + STEP_MS; Date.now() < end; await tick()) if (await holds()) return true
  return false
}

// One of ours: lines in, JSON events out.
class Ours {
  constructor (binary, policy) {
    this.kind = 'kith'
    this.received = new Map()
    this.troubles = []
    this.answers = []
    this.process = spawn(binary, [policy], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.started = new Promise(resolve => {
      createInterface({ input: this.process.stdout }).on('line', line => {
        const event = JSON.parse(line)
        if (event.event === 'listening') resolve(Object.assign(this, { peer: event.peer, port: event.port }))
        if (event.event === 'message') note(this, event.name, event)
        if (event.event === 'status') this.answers.shift()(event)
        if (['down', 'fault', 'failed'].includes(event.event)) this.troubles.push(event)
      })
    })
  }

  send (line) { this.process.stdin.write(line + '\n') }
  subscribe () { this.send(`subscribe ${TOPIC}`) }
  dial (to) { this.send(`dial 127.0.0.1 ${to.port} ${to.peer}`) }
  publish (name, bytes) { this.send(`publish ${TOPIC} ${name} ${bytes}`) }
  status () {
    const answer = new Promise(resolve => this.answers.push(resolve))
    this.send(`status ${TOPIC}`)
    return answer
  }

  async meshSize () { return (await this.status()).mesh }

  async stop () {
    const ended = new Promise(resolve => this.process.once('exit', resolve))
    this.process.stdin.end()
    const status = await ended
    if (status !== 0) check('our peer ends without a complaint of the sanitizers', false, `${status}`)
  }
}

class Theirs {
  static async start (policy, options = {}) {
    const self = new Theirs()
    self.kind = 'js'
    self.received = new Map()
    self.troubles = []
    const signs = policy === 'sign'
    self.node = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: {
        identify: identify(),
        pubsub: gossipsub({
          globalSignaturePolicy: signs ? StrictSign : StrictNoSign,
          allowPublishToZeroTopicPeers: true,
          floodPublish: false,
          ...(signs ? {} : { msgIdFn: contentId }),
          ...options
        })
      },
      connectionManager: { inboundConnectionThreshold: 1000 }
    })
    self.peer = self.node.peerId.toString()
    self.port = /tcp\/(\d+)/.exec(self.node.getMultiaddrs()[0].toString())[1]
    self.pubsub = self.node.services.pubsub
    self.idontwants = 0
    const hear = self.pubsub.handleIdontwant.bind(self.pubsub)
    self.pubsub.handleIdontwant = (from, messages) => {
      self.idontwants += messages.reduce((sum, one) => sum + one.messageIDs.length, 0)
      hear(from, messages)
    }
    self.pubsub.addEventListener('message', ({ detail }) => {
      const text = Buffer.from(detail.data).toString()
      const name = text.slice(0, text.indexOf(':'))
      const rest = text.slice(name.length + 1)
      note(self, name, {
        topic: detail.topic,
        bytes: rest.length,
        author: detail.from?.toString() ?? '',
        intact: /^x*$/.test(rest)
      })
    })
    return self
  }

  subscribe () { this.pubsub.subscribe(TOPIC) }
  async dial (to) { await this.node.dial(multiaddr(`/ip4/127.0.0.1/tcp/${to.port}/p2p/${to.peer}`)) }
  async publish (name, bytes) { await this.pubsub.publish(TOPIC, Buffer.from(`${name}:${'x'.repeat(bytes)}`)) }
  async meshSize () { return this.pubsub.getMeshPeers(TOPIC).length }
  async stop () { await this.node.stop() }
}

// The id of proto/gossip/signing.h: SHA-256 over the topic's length, the topic and the data.
function contentId (message) {
  const topic = Buffer.from(message.topic)
  const length = Buffer.from([topic.length >> 8, topic.length & 0xff])
  return createHash('sha256').update(length).update(topic).update(message.data).digest()
}

function note (node, name, message) {
  node.received.set(name, [...(node.received.get(name) ?? []), message])
}

async function ring (binary, policy) {
  const nodes = []
  for (let i = 0; i < PAIRS; i++) nodes.push(await new Ours(binary, policy).started, await Theirs.start(policy))
  for (const node of nodes) node.subscribe()
  // Every second link is dialled by ours, the others by js.
  for (let i = 0; i < nodes.length; i++) await nodes[i].dial(nodes[(i + 1) % nodes.length])
  return nodes
}

async function everybodyHas (nodes, publisher, name) {
  return until(() => nodes.every(node => node === publisher || node.received.has(name)))
}

async function deliver (nodes, policy) {
  const sent = []
  for (const [index, publisher] of nodes.entries()) {
    // The last two sizes are above what IDONTWANT is worth; the largest needs many yamux frames.
    for (const bytes of [10, 3000, 300_000]) {
      const name = `${policy}-${index}-${bytes}`
      sent.push({ name, publisher, bytes })
      await publisher.publish(name, bytes)
      const arrived = await everybodyHas(nodes, publisher, name)
      check(`${policy}: ${bytes} bytes of a ${publisher.kind} peer reach all ${nodes.length - 1} others`, arrived,
        nodes.filter(node => !node.received.has(name)).map(node => node.kind).join(' '))
    }
  }
  const wrong = []
  for (const { name, publisher, bytes } of sent) {
    for (const node of nodes) {
      const copies = node.received.get(name) ?? []
      const author = policy === 'sign' ? publisher.peer : ''
      const good = node === publisher
        ? copies.length === 0
        : copies.length === 1 && copies[0].bytes === bytes && copies[0].intact && copies[0].topic === TOPIC &&
          copies[0].author === author
      if (!good) wrong.push(`${name} at ${node.kind}: ${JSON.stringify(copies)}`)
    }
  }
  check(`${policy}: each message came once, intact, with its author`, wrong.length === 0, wrong.join('; '))
}

async function run (binary, policy) {
  const nodes = await ring(binary, policy)
  const meshed = await until(async () => {
    for (const node of nodes) if (await node.meshSize() !== 2) return false
    return true
  })
  check(`${policy}: each of six peers grafts both of its neighbours`, meshed)
  const agreed = nodes.filter(node => node.kind === 'js').flatMap(node =>
    [...node.pubsub.streamsOutbound.values()].map(stream => stream.protocol))
  check(`${policy}: js speaks version 1.2 with us`, agreed.length === 6 && agreed.every(name => name === '/meshsub/1.2.0'),
    agreed.join(' '))
  await deliver(nodes, policy)

  const ours = await Promise.all(nodes.filter(node => node.kind === 'kith').map(node => node.status()))
  check(`${policy}: we hear IDONTWANT from js and send it`,
    ours.every(status => status.idontwant_received > 0 && status.idontwant_sent > 0), JSON.stringify(ours))
  const heard = nodes.filter(node => node.kind === 'js').map(node => node.idontwants)
  check(`${policy}: js hears IDONTWANT from us`, heard.every(count => count > 0), heard.join(' '))
  check(`${policy}: nothing that js relays is invalid to us`, ours.every(status => status.invalid === 0))
  const scores = nodes.filter(node => node.kind === 'js').flatMap(node =>
    nodes.filter(other => other.kind === 'kith').map(other => node.pubsub.score.score(other.peer)))
  check(`${policy}: js finds no fault with us`, scores.every(score => score >= 0), scores.join(' '))
  check(`${policy}: no connection was lost`, nodes.every(node => node.troubles.length === 0),
    JSON.stringify(nodes.map(node => node.troubles)))
  for (const node of nodes) await node.stop()
}

// A js peer that takes nobody into its mesh: messages travel by IHAVE and IWANT only, both ways.
async function gossipOnly (binary, policy) {
  const ours = await new Ours(binary, policy).started
  const js = await Theirs.start(policy, { D: 0, Dlo: 0, Dhi: 0, Dout: 0, Dscore: 0 })
  const far = await new Ours(binary, policy).started
  for (const node of [ours, js, far]) node.subscribe()
  await ours.dial(js)
  // Our GRAFT is answered with a PRUNE, and we keep to its backoff.
  const refused = await until(async () => {
    const { mesh, subscribers } = await ours.status()
    return subscribers === 1 && mesh === 0 && js.pubsub.backoff.get(TOPIC)?.size === 1
  })
  check(`${policy}: js prunes us, and we leave the mesh`, refused)
  await js.publish('lazy-js', 5000)
  check(`${policy}: we ask js for what it advertises`, await everybodyHas([ours, js], js, 'lazy-js'))
  await far.dial(ours)
  check(`${policy}: ours mesh with each other`, await until(async () => await far.meshSize() === 1))
  await far.publish('lazy-kith', 5000)
  const asked = await everybodyHas([ours, js, far], far, 'lazy-kith')
  const status = await ours.status()
  check(`${policy}: js asks us for what we advertise`, asked && status.iwant_served > 0, JSON.stringify(status))
  check(`${policy}: js finds no fault with our GRAFTs`, js.pubsub.score.score(ours.peer) >= 0)
  for (const node of [ours, js, far]) await node.stop()
}

const [binary] = process.argv.slice(2)
try {
  for (const policy of ['sign', 'nosign']) {
    await run(binary, policy)
    await gossipOnly(binary, policy)
  }
} catch (error) {
  check(`no exception (${error.stack})`, false)
}
console.log(failures === 0 ? 'all checks hold' : `${failures} checks fail`)
process.exit(failures === 0 ? 0 : 1)
