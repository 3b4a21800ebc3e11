// A dashboard of ours, as narrow as Grafana's published types allow: what `@grafana/schema` leaves open (options and custom
// fields of a panel, queries, units, values of overrides) is closed per kind of panel. JSON has no enums: their values do.
import type * as schema from '@grafana/schema';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as timeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type { Dashboard as SdkDashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import type * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import type * as units from '@grafana/grafana-foundation-sdk/units';

type Literal<T> = T extends string
  ? string extends T ? string : `${T}`
  : T extends number
    ? `${number}` extends `${T}` ? number : `${T}` extends `${infer N extends number}` ? N : never
    : T extends boolean | null | undefined
      ? T
      : T extends ReadonlyArray<infer Item>
        ? Literal<Item>[]
        : T extends object ? { [Key in keyof T]: Literal<T[Key]> } : T;

type Unit = (typeof units)[keyof typeof units];
// Those of @grafana/data, which is not installed: what we use.
type Calculation = 'last' | 'max';
type Matcher = { id: 'byName' | 'byFrameRefID'; options: string };
type Transformation =
  | { id: 'merge'; options: Record<string, never> }
  | {
      id: 'organize';
      options: { excludeByName: Record<string, boolean>; indexByName: Record<string, number>; renameByName: Record<string, string> };
    };

type Datasource = { type: 'prometheus'; uid: '${datasource}' };
type Target = Pick<
  Literal<Omit<prometheus.Dataquery, '_implementsDataqueryVariant' | 'datasource'>>,
  'editorMode' | 'expr' | 'format' | 'instant' | 'legendFormat' | 'range' | 'refId'
> & { datasource: Datasource };
type Required<T, Key extends keyof T> = T & { [K in Key]-?: T[K] };

type Field<Custom> = Literal<Omit<schema.FieldConfig, 'custom' | 'unit' | 'mappings'>> & {
  unit?: Unit;
  mappings?: Literal<schema.ValueMapping>[];
  custom?: Literal<Custom>;
};
type Property<Custom> =
  | { [Key in keyof Field<Custom>]-?: { id: Key; value: NonNullable<Field<Custom>[Key]> } }[Exclude<keyof Field<Custom>, 'custom'>]
  | { [Key in keyof Custom & string]-?: { id: `custom.${Key}`; value: NonNullable<Literal<Custom[Key]>> } }[keyof Custom & string];

type Known<T> = T extends { reduceOptions: unknown }
  ? Omit<T, 'reduceOptions'> & { reduceOptions: { calcs: Calculation[]; fields: ''; values: boolean } }
  : T extends { legend: { calcs: string[] } }
    ? Omit<T, 'legend'> & { legend: Omit<T['legend'], 'calcs'> & { calcs: Calculation[] } }
    : T;

type Of<Kind extends string, Options, Custom, Version> = Literal<
  Omit<schema.Panel, 'type' | 'fieldConfig' | 'options' | 'targets' | 'datasource' | 'transformations' | 'pluginVersion'>
> & {
  type: Kind;
  title: string;
  description: string;
  datasource: Datasource;
  pluginVersion: Version;
  fieldConfig: {
    defaults: Required<Field<Custom>, 'unit' | 'noValue'>;
    overrides: { matcher: Matcher; properties: Property<Custom>[] }[];
  };
  options: Known<Literal<Options>>;
  targets: Required<Target, 'expr' | 'refId'>[];
  transformations?: Transformation[];
};
type Heatmap = Omit<heatmap.Options, 'cellValues' | 'yAxis'> & {
  cellValues?: Omit<heatmap.CellValues, 'unit'> & { unit?: Unit };
  yAxis: Omit<heatmap.YAxisConfig, 'unit'> & { unit?: Unit };
};

type Panel =
  | Of<'heatmap', Heatmap, heatmap.FieldConfig, typeof heatmap.pluginVersion>
  | Of<'stat', stat.Options, Record<never, never>, typeof stat.pluginVersion>
  | Of<'state-timeline', timeline.Options, timeline.FieldConfig, typeof timeline.pluginVersion>
  | Of<'table', table.Options, table.FieldConfig, typeof table.pluginVersion>
  | Of<'timeseries', timeseries.Options, timeseries.FieldConfig, typeof timeseries.pluginVersion>
  | (Omit<Literal<schema.RowPanel>, 'panels'> & { panels: [] });

type Variable = Omit<Literal<schema.VariableModel>, 'datasource' | 'query'> & { description: string } & (
    | { type: 'datasource'; query: 'prometheus' }
    | { type: 'query'; datasource: Datasource; query: { qryType: 1; query: string; refId: string } }
  );
// The last four are those of Grafana's Prometheus data source.
type Annotation = Omit<Literal<schema.AnnotationQuery>, 'datasource' | 'target'> & {
  datasource: Datasource;
  target: { expr: string; interval: string; refId: 'Anno' };
  titleFormat: string;
  textFormat: string;
  tagKeys: string;
  useValueForTime: boolean;
};

export type Dashboard = Literal<Omit<schema.Dashboard, 'panels' | 'templating' | 'annotations' | 'id' | 'snapshot'>> & {
  uid: string;
  title: string;
  panels: Panel[];
  templating: { list: Variable[] };
  annotations: { list: Annotation[] };
};
// Both descriptions of Grafana know the keys that we use.
export type Keys = Exclude<keyof Dashboard, keyof SdkDashboard>;
export const none: Keys extends never ? true : Keys = true;
