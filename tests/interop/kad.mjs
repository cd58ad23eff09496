// kad.mjs INTEROP_PEER: Kademlia with js-libp2p. Three nodes with the roles bootstrap, provider (it also puts) and
// querier, each ours or js: all eight mixtures. The provider and the querier know the bootstrap node only. Then what
// either side must not take. Prints one line per check and ends with status 0 only when all hold.
import { createHash } from 'node:crypto'
import { check, finish, jsNode, OurPeer, within } from './harness.mjs'

const { kadDHT, passthroughMapper } = await import('@libp2p/kad-dht')
const { identify } = await import('@libp2p/identify')
const { ping } = await import('@libp2p/ping')
const { multiaddr } = await import('@multiformats/multiaddr')
const { peerIdFromString } = await import('@libp2p/peer-id')
const { CID } = await import('multiformats/cid')
const Digest = await import('multiformats/hashes/digest')

const KAD = '/ipfs/kad/1.0.0'
const bytes = text => new TextEncoder().encode(text)
const text = array => new TextDecoder().decode(array)

// A provider's key is a multihash: 12 20 and a SHA-256.
function multihash (name) {
  return Buffer.concat([Buffer.from([0x12, 0x20]), createHash('sha256').update(name).digest()])
}

async function eventually (condition, what) {
  const begun = Date.now()
  while (!condition()) {
    if (Date.now() - begun > 20_000) throw new Error(`never came true: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

class Ours {
  async start (binary) {
    this.peer = new OurPeer(binary, '--kad')
    const listening = await this.peer.next('listening')
    this.id = listening.peer
    this.address = `/ip4/127.0.0.1/tcp/${listening.port}`
    return this
  }

  async connect (other) {
    const port = /tcp\/(\d+)/.exec(other.address)[1]
    this.peer.send(`dial 127.0.0.1 ${port} ${other.id}`)
    await this.knows(other)
  }

  // Until the other has been identified as one that serves kad.
  async knows (other) {
    for (;;) {
      const ready = await this.peer.next('kad_ready')
      if (ready.peer === other.id) return check(`${this.name} sees that ${other.name} serves kad`, ready.serves)
    }
  }

  async put (key, value) {
    this.peer.send(`kad-put ${key} ${value}`)
    const stored = await this.peer.next('kad_stored', 'kad_error')
    return stored.peers > 0
  }

  async get (key) {
    this.peer.send(`kad-get ${key}`)
    const found = await this.peer.next('kad_value', 'kad_error')
    return found.found ? found.value : undefined
  }

  async provide (hash) {
    this.peer.send(`kad-provide ${hash.toString('hex')}`)
    const stored = await this.peer.next('kad_stored', 'kad_error')
    return stored.peers > 0
  }

  async findProviders (hash) {
    this.peer.send(`kad-find-providers ${hash.toString('hex')}`)
    const found = await this.peer.next('kad_providers', 'kad_error')
    return found.peers ?? []
  }

  async findPeer (id) {
    this.peer.send(`kad-find-peer ${id}`)
    const found = await this.peer.next('kad_peer', 'kad_error')
    return found.addresses ?? []
  }

  stop () { return this.peer.stop() }
}

class Js {
  async start () {
    this.node = await jsNode({
      services: {
        identify: identify(),
        ping: ping(),
        dht: kadDHT({
          protocol: KAD,
          clientMode: false,
          peerInfoMapper: passthroughMapper,
          allowQueryWithZeroPeers: true,
          validators: {
            interop: async (_key, value) => { if (!text(value).startsWith('good')) throw new Error('not good') },
            signed: async () => {}
          },
          selectors: { interop: () => 0, signed: () => 0 }
        })
      }
    })
    this.id = this.node.peerId.toString()
    this.address = this.node.getMultiaddrs()[0].toString()
    return this
  }

  async connect (other) {
    await within(this.node.dial(multiaddr(`${other.address}/p2p/${other.id}`.replace(/(\/p2p\/\w+)\1/, '$1'))), 'dial')
    await this.knows(other)
  }

  async knows (other) {
    const id = peerIdFromString(other.id)
    let found = false
    await eventually(() => {
      this.node.services.dht.routingTable.find(id).then(peer => { found = peer != null })
      return found
    }, `${other.name} in the table of ${this.name}`)
    check(`${this.name} takes ${other.name} into its routing table`, true)
  }

  async put (key, value) {
    let echoed = false
    for await (const event of this.node.services.dht.put(bytes(key), bytes(value))) {
      if (event.name === 'PEER_RESPONSE' && event.record != null && text(event.record.value) === value) echoed = true
    }
    return echoed
  }

  async get (key) {
    try {
      return text(await this.node.contentRouting.get(bytes(key)))
    } catch (error) {
      return undefined
    }
  }

  async provide (hash) {
    await this.node.contentRouting.provide(CID.createV0(Digest.decode(hash)))
    return true
  }

  async findProviders (hash) {
    const found = []
    for await (const info of this.node.contentRouting.findProviders(CID.createV0(Digest.decode(hash)))) {
      found.push({ id: info.id.toString(), addresses: info.multiaddrs.map(one => one.toString()) })
    }
    return found
  }

  async findPeer (id) {
    try {
      const info = await this.node.peerRouting.findPeer(peerIdFromString(id))
      return info.multiaddrs.map(one => one.toString())
    } catch (error) {
      return []
    }
  }

  stop () { return this.node.stop() }
}

async function start (kind, binary, name) {
  const node = await (kind === 'js' ? new Js() : new Ours()).start(binary)
  node.name = `${name} (${kind})`
  return node
}

async function mixture (binary, kinds) {
  const title = kinds.join(', ')
  const roles = ['bootstrap', 'provider', 'querier']
  const [bootstrap, provider, querier] = await Promise.all(roles.map((role, i) => start(kinds[i], binary, role)))
  for (const node of [provider, querier]) {
    await node.connect(bootstrap)
    await bootstrap.knows(node)
  }
  const hash = multihash('interop-test-key ' + title)
  check(`provide: ${title}`, await within(provider.provide(hash), 'provide'))
  const port = /tcp\/\d+/.exec(provider.address)[0]
  let providers = []
  // js says that it has provided before the others have read it.
  for (let i = 0; i < 40 && providers.length === 0; i++) {
    providers = await within(querier.findProviders(hash), 'find providers')
    if (providers.length === 0) await new Promise(resolve => setTimeout(resolve, 50))
  }
  check(`find providers: ${title}`, providers.length === 1 && providers[0].id === provider.id &&
    providers[0].addresses.some(one => one.includes(port)), JSON.stringify(providers))
  check(`nobody provides what nobody provides: ${title}`,
    (await within(querier.findProviders(multihash('nothing')), 'find no providers')).length === 0)

  const key = '/interop/data-' + kinds.join('-')
  check(`put: ${title}`, await within(provider.put(key, 'good-value'), 'put'))
  check(`get: ${title}`, await within(querier.get(key), 'get') === 'good-value')
  check(`no value is no value: ${title}`, await within(querier.get(key + '-none'), 'get nothing') === undefined)

  const addresses = await within(querier.findPeer(provider.id), 'find peer')
  check(`find peer: ${title}`, addresses.some(one => one.includes(port)), JSON.stringify(addresses))
  await within(Promise.all([bootstrap, provider, querier].map(node => node.stop())), 'stop')
}

// What js keeps for us comes back with our signature intact; what it gives us unsigned is not taken.
async function throughJs (binary) {
  const [js, author, reader] = await Promise.all(
    [start('js', binary, 'keeper'), start('ours', binary, 'author'), start('ours', binary, 'reader')])
  await author.connect(js)
  await js.knows(author)
  check('js keeps a signed record of ours', await author.put('/signed/a', 'body'))
  await author.stop()
  await reader.connect(js)
  check('the signed record comes back through js and verifies', await reader.get('/signed/a') === 'body')
  for await (const _event of js.node.services.dht.put(bytes('/signed/b'), bytes('unsigned'))) { /* to its own store */ }
  check('an unsigned record of js is discarded', await reader.get('/signed/b') === undefined)
  check('and reported', (await reader.peer.next('kad_bad_record')).peer === js.id)
  await within(Promise.all([js.stop(), reader.stop()]), 'stop')
}

// Several requests on one stream, then bytes that are no message.
async function rawStream (binary) {
  const [js, ours] = [await start('js', binary, 'asker'), await start('ours', binary, 'server')]
  await js.connect(ours)
  const stream = await js.node.dialProtocol(multiaddr(`${ours.address}/p2p/${ours.id}`), KAD)
  let received = 0
  const reading = (async () => {
    for await (const part of stream) received += part.subarray().length
  })().catch(() => {})
  const pingMessage = Uint8Array.from([2, 8, 5])  // a frame of two bytes: type = PING
  stream.send(Uint8Array.from([...pingMessage, ...pingMessage, ...pingMessage.subarray(0, 1)]))
  await eventually(() => received === 6, 'two answers')
  stream.send(pingMessage.subarray(1))
  await eventually(() => received === 9, 'the third')
  check('three requests on one stream get three answers, however they are cut', received === 9)
  const add = multihash('raw')
  stream.send(Uint8Array.from([2 + 2 + add.length, 8, 2, 18, add.length, ...add]))
  await within(reading, 'reset')
  check('ADD_PROVIDER without an entry of its sender resets the stream', received === 9)
  check('and the connection lives on', await js.get('/interop/none') === undefined && js.node.getConnections().length > 0)
  await within(Promise.all([js.stop(), ours.stop()]), 'stop')
}

const [binary] = process.argv.slice(2)
try {
  for (const bootstrap of ['ours', 'js']) {
    for (const provider of ['ours', 'js']) {
      for (const querier of ['ours', 'js']) await mixture(binary, [bootstrap, provider, querier])
    }
  }
  await throughJs(binary)
  await rawStream(binary)
} catch (error) {
  check(`no exception (${error.stack})`, false)
}
finish()
